"""guard: a pre-flight backup scheduler guard for Xen Orchestra."""

__version__ = "0.1.0"

// All that the engine imports from it at run time.
export const VM_POWER_STATE = { HALTED: 'Halted', PAUSED: 'Paused', RUNNING: 'Running', SUSPENDED: 'Suspended' }

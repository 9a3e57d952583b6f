'use strict'

exports.deduped = factory => factory

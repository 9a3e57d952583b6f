'use strict'

exports.createCachedLookup = () => ({ patchGlobal() {} })

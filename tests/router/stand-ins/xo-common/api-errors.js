'use strict'
// published 0.9.0 + the one factory which rest-api 0.39 wants from 0.11
const base = require('xo-common-published/api-errors.js')
exports.notImplemented = base.notImplemented
exports.noSuchObject = base.noSuchObject
exports.unauthorized = base.unauthorized
exports.invalidCredentials = base.invalidCredentials
exports.forbiddenOperation = base.forbiddenOperation
exports.noHostsAvailable = base.noHostsAvailable
exports.authenticationFailed = base.authenticationFailed
exports.serverUnreachable = base.serverUnreachable
exports.invalidParameters = base.invalidParameters
exports.vmMissingPvDrivers = base.vmMissingPvDrivers
exports.vmIsTemplate = base.vmIsTemplate
exports.vmBadPowerState = base.vmBadPowerState
exports.vmLacksFeature = base.vmLacksFeature
exports.notSupportedDuringUpgrade = base.notSupportedDuringUpgrade
exports.objectAlreadyExists = base.objectAlreadyExists
exports.vdiInUse = base.vdiInUse
exports.hostOffline = base.hostOffline
exports.operationBlocked = base.operationBlocked
exports.patchPrecheckFailed = base.patchPrecheckFailed
exports.operationFailed = base.operationFailed
exports.missingAuditRecord = base.missingAuditRecord
exports.alteredAuditRecord = base.alteredAuditRecord
exports.notEnoughResources = base.notEnoughResources
exports.incorrectState = base.incorrectState
exports.featureUnauthorized = base.featureUnauthorized
exports.noMatchingVm = base.noMatchingVm
const code = Symbol.for('stand-in.serviceUnavailable')
exports.serviceUnavailable = msg => { throw Object.assign(new Error(msg ?? 'service unavailable'), { code }) }
exports.serviceUnavailable.is = e => e.code === code

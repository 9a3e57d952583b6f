module.exports = class { constructor() { throw new Error('stream-reader: not needed here') } }

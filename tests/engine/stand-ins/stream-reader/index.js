'use strict'

module.exports = class StreamReader {
  constructor() {
    throw new Error('stream-reader is not part of these tests')
  }
}

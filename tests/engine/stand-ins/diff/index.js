'use strict'

module.exports = () => {
  throw new Error('diff is not part of these tests')
}

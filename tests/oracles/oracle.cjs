'use strict'
// JSON lines in, JSON lines out, one answer a line in the order of the questions: {result} or {error, name}.
//   {op: 'cron', expression, zone, after: minutes, count}  -> starts in minutes, each asked from the one before
//   {op: 'match', pattern, value}                          -> boolean
//   {op: 'zones', from: minutes, until: minutes}           -> {name: [first offset, [minute, offset], ...]}, minutes
const readline = require('node:readline')
const moment = require('moment-timezone')
const { createPredicate } = require('value-matcher')
const next = require('@xen-orchestra/cron/next')
const parse = require('@xen-orchestra/cron/parse')

const MINUTE = 60000
moment.tz.zone('UTC')
console.error = () => {} // moment-timezone reports each unknown zone there

const inZone = (time, zone) => (zone.toLowerCase() === 'utc' ? moment.utc(time) : moment.tz(time, zone))

function cron({ expression, zone, after, count }) {
  const schedule = parse(expression)
  const starts = []
  for (let time = after * MINUTE; starts.length < count; ) {
    time = +next(schedule, inZone(time, zone))
    starts.push(time / MINUTE)
  }
  return starts
}

function zones({ from, until }) {
  const found = {}
  for (const name of moment.tz.names()) {
    const zone = moment.tz.zone(name)
    const offsets = [-zone.utcOffset(from * MINUTE)]
    zone.untils.forEach((time, i) => {
      const minute = time / MINUTE
      if (minute > from && minute <= until && zone.offsets[i] !== zone.offsets[i + 1]) {
        offsets.push([minute, -zone.offsets[i + 1]])
      }
    })
    found[name] = offsets
  }
  return found
}

const operations = { cron, zones, match: ({ pattern, value }) => createPredicate(pattern)(value) }

readline.createInterface({ input: process.stdin, crlfDelay: Infinity }).on('line', line => {
  let answer
  try {
    const question = JSON.parse(line)
    answer = { result: operations[question.op](question) }
  } catch (error) {
    answer = { error: error.message, name: error.name }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
})

'use strict'
// JSON lines in, JSON lines out, one answer a line in the order of the questions: {result} or {error, name}.
//   {op: 'cron', expression, zone, after: minutes, count}  -> starts in minutes, each asked from the one before
//   {op: 'match', pattern, value}                          -> boolean
//   {op: 'job', expression, zone, from: minutes, until: minutes}
//       -> {starts: minutes, storm: minute or null}: what a real Job armed at `from` does; a storm ends it
//   {op: 'zones', from: minutes, until: minutes}           -> {name: [first offset, [minute, offset], ...]}, minutes
const readline = require('node:readline')
const moment = require('moment-timezone')
const { createPredicate } = require('value-matcher')
const { createSchedule } = require('@xen-orchestra/cron')
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

// runs the package's own Job on a clock of ours: timers fire in order, at once, and never early
function job({ expression, zone, from, until }) {
  const real = { now: Date.now, setTimeout: global.setTimeout }
  let now = from * MINUTE
  let timer
  const starts = []
  Date.now = () => now
  global.setTimeout = (callback, delay) => (timer = { at: now + Math.max(1, delay), callback })
  try {
    createSchedule(expression, zone).startJob(() => {
      starts.push(Math.floor(now / MINUTE))
    })
    while (timer.at <= until * MINUTE) {
      const { at, callback } = timer
      now = at
      callback()
      const count = starts.length
      if (count > 2 && starts[count - 1] === starts[count - 3]) {
        return { starts: [...new Set(starts)], storm: starts[count - 1] }
      }
    }
    return { starts, storm: null }
  } finally {
    Date.now = real.now
    global.setTimeout = real.setTimeout
  }
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

const operations = { cron, job, zones, match: ({ pattern, value }) => createPredicate(pattern)(value) }

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

'use strict'

// Milliseconds of a number, or of one number with one unit ("10m", "2 days").
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

exports.parseDuration = value => {
  if (typeof value === 'number') return value
  const [, number, unit] = /^\s*([\d.]+)\s*([a-z]*)/i.exec(value) ?? []
  if (number === undefined) throw new TypeError(`not a duration: ${value}`)
  return Number(number) * (UNITS[unit.toLowerCase()] ?? UNITS[unit[0]?.toLowerCase()] ?? 1)
}

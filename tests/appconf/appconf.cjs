'use strict'
// JSON lines in, JSON lines out, one answer a line in the order of the questions.
//   {folder}       -> {value}: what app-conf, asked as xo-server asks it, finds for xapiOptions.httpInactivityTimeout:
//                     {ms: number}, {unusable: true}, or {} where nothing is set;  {error} where it cannot load the folder
//   {toml: text}   -> {parsed} as XO's TOML parser reads it, or {error}
const readline = require('node:readline')
const TOML = require('@iarna/toml')
const { load } = require('app-conf')

const told = value =>
  value === undefined || value === null ? {} : Number.isSafeInteger(value) && value >= 0 ? { ms: value } : { unusable: true }

async function answer({ folder, toml }) {
  if (toml !== undefined) {
    return { parsed: TOML.parse(toml) }
  }
  // "vendor" lists its folder as "system" does, which has a fixed place
  const config = await load('xo-server', { appDir: folder, entries: ['vendor'], ignoreUnknownFormats: true })
  return { value: told(config.xapiOptions?.httpInactivityTimeout) }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const done = await answer(JSON.parse(line)).catch(error => ({ error: String(error.message ?? error) }))
    console.log(JSON.stringify(done))
  }
}

main()

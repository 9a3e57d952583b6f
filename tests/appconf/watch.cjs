'use strict'
// node watch.cjs FOLDER: what xo-server sees of a folder of its configuration while it runs. A line "ready", then for each
// reload {value} as in appconf.cjs, or {error}. It reads /etc/<application>, so the application is called ../<folder>.
const { watch } = require('app-conf')

const told = value => (value === undefined || value === null ? {} : { ms: value })
const appName = '..' + process.argv[2]

watch({ appName, entries: ['system'], ignoreUnknownFormats: true }, (error, config) => {
  const seen = error ? { error: String(error.message ?? error) } : { value: told(config.xapiOptions?.httpInactivityTimeout) }
  console.log(JSON.stringify(seen))
}).then(() => console.log('"ready"'))

// Runs the published backup runner of XO. One request a line on stdin, one answer a line on stdout, in any order.
//
//   node engine.mjs NOW                     NOW: what its clock shows at the start, in ms since the epoch
//
// request: { id, job: { id, name, mode, vms: [uuid], remotes: [id], settings, ... }, schedule: id, later: seconds by which
//            the clock is moved on first, maxUncoalescedVdis,
//            masters: [{ url, user, password }], masterOf: { <uuid of a VM XO shows>: index in masters },
//            remotes: { <id>: { directory, room: bytes until ENOSPC, error: { code, message } } } }
// answer:  { id, log, thrown: what the runner itself raised, ms }
//
// What is done here in place of xo-server, which is not published: it knows which pool a VM is in ("no XAPI associated to"),
// it looks backup repositories up ("no such remote"), and it opens both.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { createRunner } from '@xen-orchestra/backups/Backup.mjs'
import { RemoteAdapter } from '@xen-orchestra/backups/RemoteAdapter.mjs'
import { Xapi } from '@xen-orchestra/xapi'
import { Task } from '@vates/task'
import { makeOnProgress } from '@vates/task/combineEvents.js'

const require = createRequire(import.meta.url)
const { getHandler } = require('@xen-orchestra/fs')
const Disposable = require('promise-toolbox/Disposable')
const { openVhd } = require('vhd-lib')

const realNow = Date.now
let ahead = Number(process.argv[2] ?? realNow()) - realNow()
Date.now = () => realNow() + ahead

// a cut export also ends in an error event that nobody in this mix of package versions listens to; the run's log has it too
process.on('uncaughtException', error => console.error('outside of any run:', error.message))

const CONFIG = {
  snapshotNameLabelTpl: '[XO Backup {job.name}] {vm.name_label}',
  dirMode: 0o700,
  disableMergeWorker: true,
  mergeBlockConcurrency: 2,
  writeBlockConcurrency: 16,
  defaultSettings: {},
}

// vhd-lib 4.15.0 forgets uuid, parentUuid and parentPath, which this version of the runner counts on: they are written afterwards
class Adapter extends RemoteAdapter {
  async writeVhd(path, disk, options = {}) {
    const { uuid, parentUuid, parentPath, ...others } = options
    const size = await super.writeVhd(path, disk, others)
    await Disposable.use(openVhd(this.handler, path, { flags: 'r+' }), async vhd => {
      await vhd.readHeaderAndFooter()
      if (uuid) vhd.footer.uuid = uuid
      if (parentUuid) vhd.header.parentUuid = parentUuid
      if (parentPath) {
        vhd.header.parentUnicodeName = parentPath
        vhd.footer.diskType = 4 // differencing
      }
      await vhd.readBlockAllocationTable()
      await vhd.writeHeader()
      await vhd.writeFooter()
    })
    return size
  }
}

const failing = (message, more) => Object.assign(new Error(message), more)

// A repository with `room` bytes left: writing more fails as a full disk does, removing a file gives its bytes back.
function limit(handler, room) {
  const take = amount => {
    if (amount > room) {
      throw failing('ENOSPC: no space left on device, write', { errno: -28, code: 'ENOSPC', syscall: 'write' })
    }
    room -= amount
  }
  const writeFile = handler._writeFile
  handler._writeFile = async function (file, data, options) {
    take(Buffer.byteLength(data))
    return writeFile.call(this, file, data, options)
  }
  const createWriteStream = handler._createWriteStream
  handler._createWriteStream = async function (file, options) {
    const stream = await createWriteStream.call(this, file, options)
    const write = stream._write
    stream._writev = null // piece by piece, each of them counted
    stream._write = (piece, encoding, done) => {
      try {
        take(piece.length)
      } catch (error) {
        return done(error)
      }
      write.call(stream, piece, encoding, done)
    }
    return stream
  }
  const unlink = handler._unlink
  handler._unlink = async function (file) {
    const size = await this._getSize(file).catch(() => 0)
    await unlink.call(this, file)
    room += size
  }
}

const adapterOf = remotes =>
  Disposable.factory(async function* (id) {
    const remote = remotes[id]
    if (remote === undefined) throw failing(`no such remote ${id}`, { code: 1, data: { id, type: 'remote' } })
    if (remote.error !== undefined) throw failing(remote.error.message, remote.error)
    const handler = getHandler({ id, url: `file://${remote.directory}` })
    await handler.sync()
    if (remote.room !== undefined) limit(handler, remote.room)
    try {
      yield new Adapter(handler, { debounceResource: one => one, dirMode: 0o700, vhdDirectoryCompression: 'none' })
    } finally {
      await handler.forget()
    }
  })

async function connect({ url, user, password }, maxUncoalescedVdis) {
  const options = { auth: { user, password }, transport: 'json-rpc', url, maxUncoalescedVdis }
  const xapi = new Xapi({ ...options, vdiDestroyRetryWhenInUse: { delay: 10, tries: 2 } })
  await xapi.connect()
  await xapi.objectsFetched
  return xapi
}

const pattern = ids => (ids.length === 1 ? { id: ids[0] } : { id: { __or: ids } })

async function run({ job, schedule, later = 0, maxUncoalescedVdis = 1, masters, masterOf, remotes }) {
  ahead += later * 1000
  const begun = performance.now()
  const xapis = await Promise.all(masters.map(master => connect(master, maxUncoalescedVdis)))
  const getConnectedRecord = async (type, uuid) => {
    if (masterOf[uuid] === undefined) throw failing(`no XAPI associated to ${uuid}`)
    return xapis[masterOf[uuid]].getRecordByUuid(type, uuid)
  }
  const whole = { type: 'backup', ...job, vms: pattern(job.vms), remotes: pattern(job.remotes), srs: pattern([]) }
  const getAdapter = adapterOf(remotes)
  let log, thrown
  const onProgress = makeOnProgress({ onRootTaskEnd: ended => (log = ended) })
  const properties = { name: 'backup', jobId: job.id, mode: job.mode }
  try {
    await Task.run({ properties, onProgress }, () =>
      createRunner({ config: CONFIG, getAdapter, getConnectedRecord, job: whole, schedule: { id: schedule } }).run()
    )
  } catch (error) {
    thrown = errorOf(error)
  }
  await Promise.all(xapis.map(xapi => xapi.disconnect().catch(() => {})))
  return { log: told(log), thrown, ms: Math.round(performance.now() - begun) }
}

// --- the log as JSON, in the words of XO's own: a task's name is its message, its other properties are its data

const ERROR_KEYS = ['code', 'params', 'errno', 'syscall', 'path', 'file', 'data']

function errorOf(error) {
  const found = { message: error.message, name: error.name }
  for (const key of ERROR_KEYS) if (error[key] !== undefined) found[key] = error[key]
  if (error.call !== undefined) found.call = { method: error.call.method }
  if (error.cause?.code !== undefined) found.cause = { code: error.cause.code }
  if (Array.isArray(error.errors)) found.errors = error.errors.map(errorOf)
  return found
}

const plain = value => (value instanceof Error ? errorOf(value) : value)

function told({ id, properties, start, end, status, result, infos, warnings, tasks }) {
  const { name, ...data } = properties
  const task = { id, message: name, data, start, end, status, tasks: tasks?.map(told) ?? [] }
  if (result !== undefined) task.result = plain(result)
  const notes = list => list.map(({ message, data }) => ({ message, data: plain(data) }))
  if (infos !== undefined) task.infos = notes(infos)
  if (warnings !== undefined) task.warnings = notes(warnings)
  return task
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...request } = JSON.parse(line)
  run(request)
    .catch(error => ({ broken: `${error.stack}` }))
    .then(answer => process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`))
}
process.exit()

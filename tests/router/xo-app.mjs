// A stand-in for xo-server: what the router asks of it, answered from the objects of one world.
//
// The words of its errors ("no such schedule ...") and the order of its lists are what our reference tells of
// xo-server. Where an answer hangs on them the comparison proves nothing; README.md lists these places.
import { AsyncLocalStorage } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import errors from 'xo-common/api-errors.js'
import { Task } from '@vates/task'
import { makeOnProgress } from '@vates/task/combineEvents.js'
import iteratee from 'lodash/iteratee.js'

// XO's own tasks: those of the world, and those that requests begin
class Tasks extends EventEmitter {
  #logs
  #userId

  constructor(logs, userId) {
    super()
    this.#logs = new Map(logs.map(log => [log.id, log]))
    this.#userId = userId
  }

  create(properties) {
    const userId = this.#userId()
    return new Task({
      properties: { ...properties, ...(userId === undefined ? {} : { userId }) },
      onProgress: makeOnProgress({
        onRootTaskStart: log => this.#logs.set(log.id, log),
        onTaskUpdate: log => {
          log.$root.updatedAt = Date.now()
          this.emit('update', log.$root)
        },
      }),
    })
  }

  async *list({ filter = () => true } = {}) {
    const matches = iteratee(filter)
    for (const log of this.#logs.values()) {
      if (matches(log)) {
        yield log
      }
    }
  }

  async get(id) {
    return this.#logs.get(id) ?? errors.noSuchObject(id, 'task')
  }
}

function collection(records, type) {
  const byId = new Map(records.map(record => [record.id, record]))
  return {
    all: async () => records,
    one: async id => byId.get(id) ?? errors.noSuchObject(id, type),
  }
}

export function makeXoApp(world) {
  const context = new AsyncLocalStorage()
  const objects = new Map(world.objects.map(object => [object.id, object]))
  const byType = {}
  for (const object of world.objects) {
    ;(byType[object.type] ??= {})[object.id] = object
  }
  const jobs = collection(world.jobs, 'job')
  const proxies = collection(world.proxies, 'proxy')
  const remotes = collection(world.repositories, 'remote')
  const schedules = collection(world.schedules, 'schedule')
  const servers = collection(world.servers, 'xenServer')
  const users = collection(world.users, 'user')
  const logs = collection(world.logs, 'log')

  return {
    get apiContext() {
      return context.getStore() ?? {}
    },
    runWithApiContext: (user, then) => context.run({ user }, then),
    async authenticateUser({ token, username, password }) {
      const id =
        token === undefined
          ? world.passwords.find(([name, secret]) => name === username && secret === password)?.[2]
          : world.tokens[token]
      return { user: id === undefined ? errors.invalidCredentials() : await users.one(id) }
    },
    getUser: users.one,
    getAclV2UserPrivileges: async () => [],

    // no setting of xo-server's own: the router takes its defaults
    config: { getOptional: () => undefined, getOptionalDuration: () => undefined },

    tasks: new Tasks(world.tasks, () => context.getStore()?.user?.id),

    getObject(id, type) {
      const found = objects.get(id)
      const isWanted = found !== undefined && (type === undefined || [type].flat().includes(found.type))
      return isWanted ? found : errors.noSuchObject(id, type)
    },
    getObjectsByType(type, { filter, limit = Infinity } = {}) {
      const matches = filter === undefined ? () => true : iteratee(filter)
      const found = Object.values(byType[type] ?? {}).filter(matches)
      return Object.fromEntries(found.slice(0, limit).map(object => [object.id, object]))
    },

    getAllJobs: async type => world.jobs.filter(job => type === undefined || job.type === type),
    getJob: jobs.one,
    getAllSchedules: schedules.all,
    getSchedule: schedules.one,
    getAllRemotes: remotes.all,
    getRemote: remotes.one,
    getAllXenServers: servers.all,
    getXenServer: servers.one,
    getAllProxies: proxies.all,
    getProxy: proxies.one,
    // null: the listing of that repository failed
    listVmBackupsNg: async ids => Object.fromEntries(ids.map(id => [id, world.archives[id] ?? (id in world.archives ? null : {})])),
    getBackupNgLogs: logs.one,
    getBackupNgLogsSorted: async ({ filter = () => true } = {}) =>
      world.logs.filter(iteratee(filter)).sort((one, other) => one.start - other.start),

    // a run takes no time; `world.failures` tells by schedule which ones end with an error of the whole job
    async runJob(job, schedule) {
      const failure = world.failures[schedule.id]
      if (failure !== undefined) {
        throw Object.assign(new Error(failure.message), failure)
      }
    },
  }
}

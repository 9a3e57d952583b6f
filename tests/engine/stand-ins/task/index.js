'use strict'

// Tasks that know the task they run in, written from the public README of @vates/task. What happens to a task is told to its
// parent's listener, up to the root's onProgress: start, info, warning, property, abortionRequested, end.
const { AsyncLocalStorage } = require('node:async_hooks')

const current = new AsyncLocalStorage()
let count = 0

class Task {
  #abort = new AbortController()
  #parent
  #properties
  #started = false
  #status = 'pending'
  #tell

  constructor({ properties, data, onProgress } = {}) {
    this.#properties = properties ?? data ?? {}
    this.id = `${Math.random().toString(36).slice(2)}${(count++).toString(36)}`
    if (onProgress !== undefined) {
      this.#tell = onProgress
      return
    }
    const parent = (this.#parent = current.getStore())
    this.#tell = parent === undefined ? () => {} : event => parent.#tell(event)
    parent?.abortSignal.addEventListener('abort', () => this.abort(parent.abortSignal.reason), { once: true })
  }

  get abortSignal() {
    return this.#abort.signal
  }
  get properties() {
    return this.#properties
  }
  get status() {
    return this.#status
  }

  #send(type, more) {
    this.#tell({ ...more, id: this.id, timestamp: Date.now(), type })
  }
  #end(status, result) {
    this.#status = status
    this.#send('end', { status, result })
    return result
  }

  start() {
    if (this.#started) return
    this.#started = true
    this.#send('start', { parentId: this.#parent?.id, properties: this.#properties })
  }
  info(message, data) {
    this.start()
    this.#send('info', { message, data })
  }
  warning(message, data) {
    this.start()
    this.#send('warning', { message, data })
  }
  set(name, value) {
    this.start()
    this.#properties[name] = value
    this.#send('property', { name, value })
  }
  abort(reason) {
    if (this.#abort.signal.aborted) return
    this.#abort.abort(reason)
    if (this.#started) this.#send('abortionRequested', { reason })
  }
  success(result) {
    this.start()
    return this.#end('success', result)
  }
  failure(error) {
    this.start()
    this.#end('failure', error)
  }

  // Runs a function in this task and leaves the task open, unless it throws.
  runInside(fn) {
    this.start()
    return current.run(this, async () => {
      try {
        return await fn()
      } catch (error) {
        this.#end(this.#abort.signal.aborted ? 'aborted' : 'failure', error)
        throw error
      }
    })
  }
  async run(fn) {
    const result = await this.runInside(fn)
    if (this.#status === 'pending') this.#end('success', result)
    return result
  }
  wrapInside(fn) {
    const task = this
    return function (...args) {
      return task.runInside(() => fn.apply(this, args))
    }
  }
  wrap(fn) {
    const task = this
    return function (...args) {
      return task.run(() => fn.apply(this, args))
    }
  }

  static get abortSignal() {
    return current.getStore()?.abortSignal
  }
  static info(message, data) {
    current.getStore()?.info(message, data)
  }
  static warning(message, data) {
    current.getStore()?.warning(message, data)
  }
  static set(name, value) {
    current.getStore()?.set(name, value)
  }
  static run(options, fn) {
    return new Task(options).run(fn)
  }
  static wrap(options, fn) {
    return function (...args) {
      const own = typeof options === 'function' ? options.apply(this, args) : options
      return new Task(own).run(() => fn.apply(this, args))
    }
  }
}

exports.Task = Task

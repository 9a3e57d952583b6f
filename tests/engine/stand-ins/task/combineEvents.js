'use strict'

// Folds the events of a tree of tasks into one nested log, which is given to onRootTaskEnd.
exports.makeOnProgress = ({ onRootTaskEnd }) => {
  const open = new Map()
  return ({ id, parentId, timestamp, type, ...event }) => {
    if (type === 'start') {
      const log = { id, properties: event.properties, start: timestamp, status: 'pending' }
      const parent = open.get(parentId)
      if (parent !== undefined) (parent.tasks ??= []).push(log)
      open.set(id, log)
      Object.defineProperty(log, 'isRoot', { value: parent === undefined })
      return
    }
    const log = open.get(id)
    if (type === 'info' || type === 'warning') {
      const notes = (log[`${type}s`] ??= [])
      notes.push({ message: event.message, data: event.data })
    } else if (type === 'property') {
      log.properties[event.name] = event.value
    } else if (type === 'end') {
      Object.assign(log, { end: timestamp, status: event.status, result: event.result })
      open.delete(id)
      if (log.isRoot) onRootTaskEnd(log)
    }
  }
}

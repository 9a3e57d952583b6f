// The published REST router of XO in front of a stub of xo-server:   node router.mjs <world.json>
// Prints one line of JSON, {"port": n}, once it listens on 127.0.0.1, and ends when its standard input does.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import cookieParser from 'cookie-parser'
import express from 'express'
import setupRestApi from '@xen-orchestra/rest-api'
import { makeXoApp } from './xo-app.mjs'

const world = JSON.parse(readFileSync(process.argv[2], 'utf8'))
// both sides tell the time of the world
Date.now = () => world.now

const app = express()
app.set('json spaces', 2)
app.use(cookieParser())
setupRestApi(app, makeXoApp(world))

process.stdin.on('end', () => process.exit(0)).resume()
const server = http.createServer(app)
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))

// How many connections this machine can hold.
import { readFileSync } from 'node:fs'
import { print } from './progress.mjs'

/** So that one process has neither too many sockets nor too much to read. */
export const STREAMS_PER_CLIENT = 5000

/** As many streams as one process may hold sockets, and one address may have ports. */
export function affordable(wanted, what = 'streams') {
  const files = process.report.getReport().userLimits?.open_files?.hard
  const ofFiles = typeof files === 'number' || /^\d+$/.test(files) ? Number(files) - 200 : Number.POSITIVE_INFINITY
  // Elsewhere the ports of one address are for all, half of them kept back for connections that were just closed.
  const ofPorts = process.platform === 'linux' ? portsOfLinux() * Math.ceil(wanted / STREAMS_PER_CLIENT) : 8000
  const streams = Math.min(wanted, ofFiles, ofPorts)
  if (streams < wanted) {
    print(
      `${streams} ${what} instead of ${wanted}: ${
        ofFiles < ofPorts ? `a process may open ${files} files here (ulimit -n)` : 'there are no more ports here'
      }.`,
    )
  }
  return streams
}

function portsOfLinux() {
  try {
    const [from, to] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/).map(Number)
    return to - from - 500
  } catch {
    return 28_000
  }
}

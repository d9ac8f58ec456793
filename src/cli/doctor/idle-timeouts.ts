/** Which idle timeouts do hosts and proxies have, as far as they are known? */

export interface Limit {
  where: string
  seconds: number
  /** Where it is documented, or how it was measured. Read or measured on 22 November 2026. */
  source: string
}

/** Sorted, the shortest first. */
export const LIMITS: readonly Limit[] = [
  { where: 'Bun.serve (idleTimeout)', seconds: 10, source: 'measured with Bun 1.4.5' },
  { where: 'Heroku router', seconds: 55, source: 'devcenter.heroku.com/articles/request-timeout' },
  {
    where: 'AWS Application Load Balancer',
    seconds: 60,
    source: 'docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html',
  },
  { where: 'Fly.io proxy', seconds: 60, source: 'fly.io/docs/reference/services' },
  { where: 'nginx (proxy_read_timeout)', seconds: 60, source: 'nginx.org/en/docs/http/ngx_http_proxy_module.html' },
  {
    where: 'Cloudflare proxy',
    seconds: 120,
    source: 'developers.cloudflare.com/fundamentals/reference/connection-limits',
  },
  {
    where: 'Azure Load Balancer',
    seconds: 240,
    source: 'learn.microsoft.com/azure/load-balancer/load-balancer-tcp-idle-timeout',
  },
]

/** Heroku's limit for the first byte, which is shorter than its limit after that. */
export const FIRST_BYTE_LIMIT: Limit = {
  where: 'Heroku router, first byte',
  seconds: 30,
  source: 'devcenter.heroku.com/articles/request-timeout',
}

/** The hosts and proxies that would have cut the connection after this much silence. */
export function exceeded(ms: number, limits: readonly Limit[] = LIMITS): Limit[] {
  return limits.filter(({ seconds }) => ms >= seconds * 1000)
}

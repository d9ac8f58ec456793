/** What are the items of a field that should be a list? */
/** The items of a list. Some servers send a single item without a list, or a list with empty places. */
export function listOf<T>(value: T | T[] | null | undefined): T[] {
  return (Array.isArray(value) ? value : [value]).filter((item) => !!item) as T[]
}

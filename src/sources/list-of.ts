/** The items of a list. Some servers give a lone item without the list, or holes in it. */
export function listOf<T>(value: T | T[] | null | undefined): T[] {
  return (Array.isArray(value) ? value : [value]).filter((item) => !!item) as T[]
}

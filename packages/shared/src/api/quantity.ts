/** Kubernetes resource quantities: `200m`, `256Mi`, `1.5`, `1e3`. Form: apimachinery, pkg/api/resource/quantity.go. */

export const QUANTITY_PATTERN =
  /^([0-9]+(\.[0-9]*)?|\.[0-9]+)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][-+]?[0-9]{1,2})?$/;

const FACTORS: ReadonlyMap<string, number> = new Map([
  ['n', 1e-9],
  ['u', 1e-6],
  ['m', 1e-3],
  ['', 1],
  ['k', 1e3],
  ['M', 1e6],
  ['G', 1e9],
  ['T', 1e12],
  ['P', 1e15],
  ['E', 1e18],
  ['Ki', 2 ** 10],
  ['Mi', 2 ** 20],
  ['Gi', 2 ** 30],
  ['Ti', 2 ** 40],
  ['Pi', 2 ** 50],
  ['Ei', 2 ** 60],
]);

/** A quantity as a number in base units (cores, bytes), or undefined when it is none. Exact to double precision. */
export function parseQuantity(quantity: string | number): number | undefined {
  if (typeof quantity === 'number') return Number.isFinite(quantity) && quantity >= 0 ? quantity : undefined;
  const match = QUANTITY_PATTERN.exec(quantity);
  if (match === null) return undefined;
  const [, digits = '', , suffix = ''] = match;
  const factor = FACTORS.get(suffix);
  return factor === undefined ? Number(digits + suffix) : Number(digits) * factor;
}

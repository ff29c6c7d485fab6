/** What names a resource, a collection or one object in the Kubernetes API. */
export interface ResourceAddress {
  /** API group; the empty string is the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, lower case: `pods`, `shardinstances`. */
  readonly resource: string;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
}

/** The API path of a resource: `/api/v1/namespaces/x/pods/y/status`, `/apis/shard.io/v1/shardconfigs`. */
export function resourcePath(address: ResourceAddress): string {
  const root = address.group === '' ? ['api', address.version] : ['apis', address.group, address.version];
  const segments = [
    ...root,
    ...(address.namespace === undefined ? [] : ['namespaces', address.namespace]),
    address.resource,
    ...(address.name === undefined ? [] : [address.name]),
    ...(address.subresource === undefined ? [] : [address.subresource]),
  ];
  return `/${segments.map(encodeURIComponent).join('/')}`;
}

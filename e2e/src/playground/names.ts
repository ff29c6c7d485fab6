/** Where the playground's fleet lives, and what it is called. */
export const NAMESPACE = 'monitoring';
export const CONFIG = 'playground';

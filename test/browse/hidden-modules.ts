/** Preloaded by a process of a test: hides the modules whose names follow the "?", as if they were not installed. */
import { registerHooks } from 'node:module';

const hidden = new URL(import.meta.url).search.slice(1).split(',');

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (hidden.some((name) => specifier.endsWith(name))) {
      throw Object.assign(new Error(`Cannot find module ${specifier}`), { code: 'MODULE_NOT_FOUND' });
    }
    return nextResolve(specifier, context);
  },
});

/** The model of the map store against the suite that takes it for the truth. */
import { mapStoreSuite } from './map-store-suite.ts';
import { createMemoryMapStore } from './memory-map-store.ts';

mapStoreSuite(async () => {
  const store = createMemoryMapStore();
  return { open: async () => store };
});

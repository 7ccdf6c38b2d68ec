/**
 * Entry of a process that reads every entry of an index's tables, given the directory as its only message. Ends with
 * status 0 if all of it can be read; otherwise it throws, or the damage ends it.
 */
import { unpackFeedChange, unpackLocation, unpackRow } from './layout.ts';
import { openTables } from './tables.ts';

process.once('message', async (directory: string) => {
  const tables = openTables(directory);
  for (const { value } of tables.inodes.range({})) unpackRow(value);
  for (const { value } of tables.feed.range({})) unpackFeedChange(value);
  const plain = [tables.names, tables.recipes, tables.directories, tables.trees, tables.stale, tables.condemned];
  for (const table of [...plain, tables.dirty, tables.intents, tables.meta]) {
    for (const { key, value } of table.range({})) void [key, value];
  }
  for (const table of [tables.links, tables.recipeHolders]) {
    for (const key of table.keys({})) for (const value of table.values(key)) void value;
  }
  for (const key of tables.blocks.keys({})) for (const value of tables.blocks.values(key)) unpackLocation(value);
  await tables.close();
  process.disconnect();
});

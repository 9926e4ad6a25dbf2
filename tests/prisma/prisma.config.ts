// Prisma's tools without the binaries that they download otherwise: the schema engine is in the
// package as WebAssembly, and reaches the database through an adapter.
import { randomUUID } from "node:crypto";
import { PrismaPg } from "@prisma/adapter-pg";
import Result from "pg/lib/result.js";
import { defineConfig } from "prisma/config";

const server = {
  host: process.env.PGHOST,
  user: process.env.PGUSER,
  allowExitOnIdle: true,
  idleTimeoutMillis: 100,
};

// The adapter does not know the types that PostgreSQL's catalog has for its own names.
const KNOWN: Record<number, number> = { 18: 25, 19: 25, 1002: 1009, 1003: 1009 };
const addFields = Result.prototype.addFields;
Result.prototype.addFields = function (fields: { dataTypeID: number }[]) {
  for (const field of fields) field.dataTypeID = KNOWN[field.dataTypeID] ?? field.dataTypeID;
  return addFields.call(this, fields);
};

class Adapter extends PrismaPg {
  // The stock one cuts a script at each semicolon, also inside the body of a function.
  async connect() {
    const adapter: any = await super.connect();
    adapter.executeScript = async (script: string) => void (await adapter.client.query(script));
    return adapter;
  }

  // The stock one drops the shadow database while a connection to it is still closing.
  async connectToShadowDb() {
    const database = `prisma_shadow_${randomUUID()}`;
    const main = await this.connect();
    await main.executeScript(`CREATE DATABASE "${database}" TEMPLATE template0`);
    const shadow = await new PrismaPg({ ...server, database }).connect();
    const dispose = shadow.dispose.bind(shadow);
    shadow.dispose = async () => {
      await dispose();
      await main.executeScript(`DROP DATABASE "${database}" WITH (FORCE)`);
      await main.dispose();
    };
    return shadow;
  }
}

export default defineConfig({
  engine: "js",
  experimental: { adapter: true },
  schema: "schema.prisma",
  migrations: { path: "migrations" },
  adapter: async () => new Adapter({ ...server, database: process.env.PGDATABASE }),
});

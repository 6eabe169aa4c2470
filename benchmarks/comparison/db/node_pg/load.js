// SPDX-License-Identifier: Apache-2.0
// Point selects by node-pg: load.js URL CALLERS SECONDS. Prints selects a second.
const {Pool} = require('pg');

const [url, callers, seconds] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const pool = new Pool({connectionString: url, max: 8, min: 8});

async function run(milliseconds) {
  const began = Date.now();
  let done = 0;
  const caller = async (c) => {
    let id = (c * 7919) >>> 0;
    while (Date.now() - began < milliseconds) {
      id = (Math.imul(id, 1103515245) + 12345) >>> 0;
      // With a name it is prepared once for each connection.
      const result = await pool.query({name: 'one', text: 'SELECT abalance FROM pgbench_accounts WHERE aid = $1', values: [(id % 100000) + 1]});
      if (result.rows.length !== 1) throw new Error('no row');
      ++done;
    }
  };
  await Promise.all(Array.from({length: callers}, (_, c) => caller(c)));
  return done / ((Date.now() - began) / 1000);
}

(async () => {
  await run(500);
  console.log(Math.round(await run(seconds * 1000)));
  await pool.end();
})();

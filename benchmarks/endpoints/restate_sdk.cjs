// The wire benchmark's handlers as code of the official TypeScript SDK, served for one run of it.
//
//     NODE_PATH=FOLDER/node_modules node benchmarks/endpoints/restate_sdk.cjs NAME PORT
//
// Needs `npm install --prefix FOLDER @restatedev/restate-sdk`.

const restate = require("@restatedev/restate-sdk");

const [name, port] = process.argv.slice(2);

const body = async () => 1;

const sum = (values) => values.reduce((total, value) => total + value, 0);

const bench = restate.service({
  name,
  handlers: {
    noop: async () => 1,
    sequential: async (ctx, count) => {
      let total = 0;
      for (let i = 0; i < count; i++) total += await ctx.run("step", body);
      return total;
    },
    fan_out: async (ctx, count) => {
      const runs = Array.from({ length: count }, () => ctx.run("step", body));
      return sum(await restate.RestatePromise.all(runs));
    },
    race: async (ctx) => {
      const calls = [0, 1, 2].map((index) => ctx.serviceClient(bench).noop().map(() => index));
      return await restate.RestatePromise.race([...calls, ctx.sleep(60_000).map(() => 3)]);
    },
    park: async (ctx) => {
      await ctx.sleep(3_600_000);
      return 1;
    },
  },
});

restate.serve({ services: [bench], port: Number(port) });

/** GET /bosun/network/doctor, which Docker does not have: `{"Findings": [{"Level", "Text", "Advice"}]}`, of the host and of one container if asked. */

import { Hono } from "hono";
import type { NetworkDoctor } from "../container/network-doctor.ts";
import { type Env, json } from "./context.ts";

export const networkDoctorRouter = (doctor: NetworkDoctor): Hono<Env> =>
  new Hono<Env>().get("/bosun/network/doctor", (c) => {
    const findings = doctor.examine(c.req.query("container") || undefined);
    return json({
      Findings: findings.map(({ level, text, advice = "" }) => ({ Level: level, Text: text, Advice: advice })),
    });
  });

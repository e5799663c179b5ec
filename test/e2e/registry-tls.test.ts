/** Registries behind TLS, and mirrors of others: Debian's docker-registry with an authority that only certs.d knows, and names that lead nowhere else. */

import { beforeAll, expect, test } from "bun:test";
import { DockerRegistry, hasDockerRegistry } from "../../bench/fixture/registry.ts";
import { makeCertificate, type Pair } from "../support/authority.ts";
import { e2e } from "../support/e2e.ts";
import { Estate } from "../support/estate.ts";

const ESTATE = new Estate({ "registry.test": "192.0.2.1", "guarded.test": "192.0.2.2", "mirror.test": "192.0.2.3" });
const UNKNOWN = "tls: failed to verify certificate: x509: certificate signed by unknown authority";

e2e(
  "registries behind TLS",
  ({ ok, docker }) => {
    let authority: Pair;
    const serve = async (name: string, isGuarded = false): Promise<DockerRegistry> => {
      const own = await makeCertificate(ESTATE.path(""), name, [`DNS:${name}`], authority);
      const tls = { ...own, ...(isGuarded && { clientAuthority: authority.cert }) };
      return DockerRegistry.start(undefined, { address: `${ESTATE.names[name]}:443`, tls, prefix: ESTATE.prefix });
    };
    const idOf = (name: string) => ok("image", "inspect", "--format", "{{.Id}}", name);
    /** Pushes busybox, and forgets that it did. */
    const push = async (name: string) => {
      await ok("tag", "busybox", name);
      await ok("push", "-q", name);
      await ok("rmi", name);
    };

    beforeAll(async () => {
      authority = await makeCertificate(ESTATE.path(""), "authority");
    });

    test.if(hasDockerRegistry)(
      "one whose authority nobody knows is refused; certs.d tells of it, at once",
      async () => {
        await using _ = await serve("registry.test");
        await ok("tag", "busybox", "registry.test/app:1");
        for (const verb of ["push", "pull"])
          expect((await docker(verb, "registry.test/app:1")).stderr).toContain(UNKNOWN);
        await ESTATE.trust("registry.test", { "ca.crt": authority.cert });
        await push("registry.test/app:1");
        await ok("pull", "-q", "registry.test/app:1");
        expect(await idOf("registry.test/app:1")).toBe(await idOf("busybox"));
        await ok("rmi", "registry.test/app:1");
      },
    );

    test.if(hasDockerRegistry)("one that wants a client's certificate is shown that of certs.d", async () => {
      await using _ = await serve("guarded.test", true);
      await ESTATE.trust("guarded.test", { "ca.crt": authority.cert });
      await ok("tag", "busybox", "guarded.test/app:1");
      expect((await docker("push", "guarded.test/app:1")).stderr).toContain("wants another client certificate");
      const client = await makeCertificate(ESTATE.path(""), "client", [], authority);
      await ESTATE.trust("guarded.test", { "client.cert": client.cert, "client.key": client.key });
      await push("guarded.test/app:1");
      await ok("pull", "-q", "guarded.test/app:1");
      await ok("rmi", "guarded.test/app:1");
    });

    test.if(hasDockerRegistry)(
      "mirrors of Docker Hub and of another registry give what those would, under their names",
      async () => {
        await using _ = await serve("mirror.test");
        await ESTATE.trust("mirror.test", { "ca.crt": authority.cert });
        for (const path of ["library/app", "team/app"]) await push(`mirror.test/${path}:1`);
        for (const name of ["app:1", "origin.test/team/app:1"]) {
          expect(await ok("pull", name)).toContain(`Status: Downloaded newer image for ${name}`);
          expect(await idOf(name)).toBe(await idOf("busybox"));
          const [repository = ""] = name.split(":");
          const digests = await ok("image", "inspect", "--format", "{{json .RepoDigests}}", name);
          expect(digests).toContain(`"${repository}@sha256:`);
          await ok("rmi", name);
        }
      },
    );

    test.if(hasDockerRegistry)("a name of which no mirror knows is told as its own registry tells it", async () => {
      await using _ = await serve("mirror.test");
      const { stderr } = await docker("pull", "origin.test/team/other:1");
      expect(stderr).toMatch(/origin\.test.*no such host/);
    });
  },
  ["--registry-mirror", "https://mirror.test", "--mirror", "origin.test=https://mirror.test/"],
  ESTATE,
);

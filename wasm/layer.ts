/** The engine's module: what the host may call directly, and what the component is made of. */

export * from "./engine";
export * from "./component";

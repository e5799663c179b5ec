/** Memory that a start has filled and an idle daemon does without. */

import { checked, library } from "./library.ts";

/**
 * Takes the program's code out of this process's memory: two thirds of it only a start runs. What is needed again comes back from the page cache,
 * which costs the first container after it 10 ms, once. (Collecting the heap as well gave 5 MB more, and cost the first container 30 ms; to do it
 * after every time of work doubled the time of the next container.)
 * @throws SystemError
 */
export function releaseCode(): void {
  checked("unmap code", library().bosun_unmap_code());
}

/** Names for containers that nobody named: an adjective and somebody who went to sea, or far. */

const ADJECTIVES =
  "able adrift amber ample bold brave brisk bright busy calm candid clear clever coastal crisp daring deft eager early even fair fearless fleet fond frank free fresh gallant gentle glad golden grand hale handy happy hardy hearty honest humble jolly keen kind lively loyal lucky mellow merry mighty neat nimble noble open patient placid plucky polite proud quick quiet ready salty serene sharp silver sober sound spry stately steady stout strong sunny sure swift tidal tidy tranquil trim true trusty upbeat vivid warm wise witty worthy zesty".split(
    " ",
  );

const PEOPLE =
  "amundsen anning aronnax bache baret barents bass beaufort bering bligh bougainville bowditch bransfield byron cabot cartier chichester cook cousteau dampier darwin davis dias drake earle ellsworth erikson fitzroy flinders franklin frobisher gama grenfell gudrid halley harrison hartog hawkins henson herjolf heyerdahl hudson humboldt janszoon jansz joyon kaiulani knox lapita laperouse lovelace macarthur magellan maury mawson mercator moitessier nansen nordenskiold oyama parry peary piccard pytheas quiros ross rossby sacagawea scott shackleton slocum smeaton spilhaus stark sverdrup tabarly tasman tharp torres tupaia vancouver verne vespucci wallis weddell wilkes worsley zheng".split(
    " ",
  );

const pick = (words: readonly string[]): string => words[Math.floor(Math.random() * words.length)] ?? "";

/** @param isTaken  whether a name is in use; after a few tries a digit is added, as Docker does */
export function randomName(isTaken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const name = `${pick(ADJECTIVES)}_${pick(PEOPLE)}${attempt < 6 ? "" : Math.floor(Math.random() * 10 ** (attempt - 4))}`;
    if (!isTaken(name)) return name;
  }
}

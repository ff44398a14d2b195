"""Maintenance shorthand: how technicians shorten words, from general knowledge of the trade.

`C/O brg LH hyd pmp` is what a work order says, and `change out left hand hydraulic pump bearing`
is what somebody asks. The table serves both channels:

1. **Reading.** The model has never learnt what `brg` is, so patterns and queries are read with the
   words that shorthand stands for (`readings`, called by render.py). What means something else in
   a log (`req`, `temp`, `inst`) is marked with `?` and read as it stands.
2. **Looking up.** A query's word is looked for in its short spellings too, and the other way round
   (`spellings`, called by terms.py); these count less than the word itself, so that guesses do
   little harm, and `?` does not matter.

Nothing in it was taken or learnt from the evaluation tasks. A bundle says whether its model is to
read with it (`reads_shorthand`), and its fingerprint then covers the table: a change of the table
makes the vectors of such a bundle stale.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from dejalog.indexer.stemming import stem

#: Words, then how they are shortened. A `?` in front means: only looked up, never read.
_TABLE = """
adjust: adj adjst
air conditioner: a/c aircon ?ac
air conditioning: ?a/c ?aircon ?ac
alarm: ?alm
alternator: altnr ?alt
ampere: ?amp
approximately: approx
assembly: assy assem ?asm
attachment: ?att ?attach
auxiliary: aux
battery: batt btry ?bat
bearing: brg brng
between: btwn ?btw
bolt: ?blt
bottom: btm ?bot
bracket: brkt ?brk ?bkt
brake: ?brk
breakdown: b/d ?bdown
broken: brkn ?bkn
bucket: bkt
cabinet: ?cab
calibrate: ?cal ?calib
capacity: ?cap
center: cntr ?ctr ?cen
centre: ?ctr ?cntr ?cen
change out: c/o changeout ?c/out
changed out: ?c/o ?changeout
change: chg chng
check: chk ?ck
circuit: cct ckt ?circ
circuit breaker: ?cb ?c/b
clean: ?cln
clearance: ?clr
closed: clsd
communication: comms ?comm
component: ?comp ?cpt
compressor: ?comp compr
condition: cond condn
condition monitoring: c/m ?cm
connection: ?conn ?connctn
connector: ?conn ?con
control: ctrl cntrl ?ctl
controller: ctrlr ?ctlr ?ctrl
conveyor: cnvr ?conv ?cv
cooler: ?clr
coupling: cplg ?coup ?cpl
current: ?curr
cylinder: cyl cylr
damage: dmg dmge ?dam
damaged: dmgd dmged ?dmg ?dam
defective: ?def
diagnose: ?diag
diagram: ?diag
diameter: ?dia ?diam
diesel: dsl
differential: ?diff
direction: ?dir
discharge: disch
distribution: ?dist distr
drawing: dwg drg
drive: ?drv
electric: ?elec ?elect
electrical: elec elect
electrician: ?elec
element: ?elem
emergency: emerg ?emer
emergency stop: e-stop estop e/stop
engine: eng ?engn
equipment: equip eqpt ?eqp ?eqt
excavator: excv ?exc
exhaust: exh exhst
extension: ?ext ?extn
external: ?ext
fabricate: ?fab
failure: ?fail
filter: fltr filt ?flt
fire extinguisher: f/e ?ext
flange: flg
follow up: f/up ?f/u
front: frnt ?frt
gasket: gskt
gauge: ?gge ?ga
gearbox: gbx g/box
generator: ?gen ?genset
grease: ?grs
ground: gnd grnd
ground engaging tool: ?get
guard: ?grd
heater: ?htr
high pressure: h/p ?hp
high voltage: ?hv
horizontal: horiz
horsepower: ?hp
hose: ?hse
hour: hr
housing: hsg hsng
hydraulic: hyd hydr hydrau
ignition: ?ign
implement: imp impl
indicator: ?ind
information: ?info
inlet: ?inl
inoperative: inop
inspect: insp
inspection: inspn ?insp
install: instl ?inst
installation: ?inst ?install
instrument: ?inst ?instr
insulation: insul
internal: ?int
investigate: invest ?inv
junction box: j/b ?jb
left hand: lh l/h l/hand
left hand side: lhs l/h/s
left: ?lh ?lhs ?lft
level: lvl ?lev
light: ?lt ?lgt
limit switch: l/s ?ls
low pressure: l/p ?lp
low voltage: ?lv
lower: lwr
lubricate: ?lube
lubrication: lube
machine: ?mach ?mc ?m/c
maintenance: maint mtce mtnce ?mnt
manifold: mnfld ?manif
manual: ?man
manufacture: ?mfr ?mfg
material: matl ?mat
maximum: max
measure: ?meas
mechanical: ?mech
mechanism: ?mech
message: msg
minimum: ?min
minute: ?min
miscellaneous: misc
module: ?mod ?mdl
month: mth ?mnth
motor: mtr ?mot
mount: ?mnt ?mt
mounting: mtg ?mntg
not working: n/w
operate: ?op
operation: ?op ?oper ?opn
operator: ?op ?opr ?oper
out of order: ?o/o ?ooo
outlet: ?outl
overhaul: o/h ovhl
overheat: o/heat
overheating: o/heating ?o/heat
overload: o/l
package: ?pkg
panel: ?pnl
part: ?prt ?pt
planetary: ?plan
platform: ?plat
pneumatic: pneu pneum
position: posn pstn pos
positive: ?pos
power: pwr
power supply: ?psu
power take off: pto
pressure: press ?pres ?prs
previous: ?prev
problem: ?prob
pulley: ?ply
pump: pmp
quantity: qty
radiator: ?rad
rear: ?rr
receive: ?rec ?rcv ?recv
recondition: ?recon
rectify: ?rect
reference: ?ref
refurbish: refurb
regulator: ?reg
relay: ?rly
remove and replace: r&r
remove: rmv ?rem
removed: rmvd ?rem
repair: rpr ?rep
replace: repl rplc rpl replce ?rep ?r/p
replacement: ?repl ?rplmt
report: rpt
request: ?req
require: ?req
required: reqd req'd ?req
resistor: ?res
return: ?rtn ?ret
right hand: rh r/h r/hand
right hand side: rhs r/h/s
right: ?rh ?rhs ?rgt
rotation: ?rot
safety: ?saf
schedule: ?sched
screen: ?scrn ?scn
section: ?sect
sensor: snsr ?sens ?sen
service: svce ?serv ?svc
serviceable: s/able
shaft: shft ?sft
shutdown: s/d ?sd
signal: ?sig
solenoid: ?sol
speed: spd
spring: ?spr
standard: ?std
standby: stby
start: ?strt
starter: strtr ?strt
station: stn ?sta
steering: strg ?stg ?steer
stopped: stpd
structure: ?struct
suction: ?suct
supply: ?sup ?supp
support: ?supt ?supp
suspension: susp
switch: ?sw ?swt
system: ?sys ?syst
tank: ?tnk
technician: ?tech
temperature: tempr ?temp ?tmp
temporary: ?temp
tension: ?tens
terminal: ?term
tighten: ?tight
torque: trq ?tq
track: ?trk
transducer: xducer
transfer: xfer ?trans ?tfr
transformer: xfmr trafo
transmission: xmsn ?trans
transmitter: xmtr ?tx
troubleshoot: t/shoot tshoot ?t/s
turbocharger: turbo
unserviceable: u/s unserv ?us
upper: uppr upr
valve: vlv ?vv ?valv
variable speed drive: vsd
vehicle: veh
ventilation: ?vent
vertical: ?vert
vibration: vib vibr
voltage: ?volt
warning: ?warn
washer: ?wshr
water: wtr
week: wk
weekly: wkly
weld: wld
window: wdw wndw
windscreen: w/screen wscreen
windshield: w/shield
with: w/
without: w/o
work order: ?wo ?w/o
workshop: w/shop wkshp
year: yr
"""

#: Changes with the table.
TABLE_DIGEST = zlib.crc32(_TABLE.encode())


class Reading(NamedTuple):
    """Shorthand in a text: its first and its last character's successor, and what is read."""

    start: int
    end: int
    words: str


def _entries() -> Iterator[tuple[tuple[str, ...], str, bool]]:
    """Yields words, a short spelling, and whether it is read."""
    for line in _TABLE.strip().splitlines():
        phrase, _, shortened = line.partition(":")
        for spelling in shortened.split():
            yield tuple(phrase.split()), spelling.removeprefix("?"), not spelling.startswith("?")


def _read_words() -> dict[str, str]:
    """What each unambiguous spelling stands for, plurals too (`brgs`)."""
    words: dict[str, str] = {}
    for phrase, spelling, is_read in _entries():
        if is_read:
            words[spelling] = " ".join(phrase)
            if len(phrase) == 1 and spelling.isalpha() and spelling[-1] != "s":
                words.setdefault(f"{spelling}s", f"{phrase[0]}s")
    return words


def _by_words() -> tuple[dict[tuple[str, ...], tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Short spellings by phrase, and those of single words by stem."""
    phrases: dict[tuple[str, ...], list[str]] = {}
    stems: dict[str, list[str]] = {}
    for phrase, spelling, _ in _entries():
        phrases.setdefault(phrase, []).append(spelling)
        if len(phrase) == 1:
            stems.setdefault(stem(phrase[0]), []).append(spelling)
    return (
        {phrase: tuple(found) for phrase, found in phrases.items()},
        {key: tuple(dict.fromkeys(found)) for key, found in stems.items()},
    )


def _by_spelling() -> dict[str, tuple[tuple[str, ...], ...]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for phrase, spelling, _ in _entries():
        found.setdefault(spelling, []).append(phrase)
    return {spelling: tuple(phrases) for spelling, phrases in found.items()}


_READ = _read_words()
_PHRASES, _STEMS = _by_words()
_SPELLINGS = _by_spelling()
_PHRASE_WORDS_MAX = max(map(len, _PHRASES))

#: Within a compound (`max-age`, `sys.info`, `/var/msg`) nothing is shorthand.
_SHORT = re.compile(
    r"(?<![\w/&'.:@#$%=\\-])("
    + "|".join(sorted(map(re.escape, _READ), key=len, reverse=True))
    + r")(?![\w/&'@#=\\-]|[.:]\w|\()",
    re.IGNORECASE,
)


def readings(text: str) -> Iterator[Reading]:
    """Yields the shorthand in a text, in text order."""
    for match in _SHORT.finditer(text):
        yield Reading(match.start(), match.end(), _READ[match[1].lower()])


def spellings(words: Sequence[str], place: int) -> tuple[tuple[str, ...], ...]:
    """Returns how else the word at a place of a query may be written, each as a row of terms.

    A phrase's short spelling (`change out`: c/o) belongs to each of its words. The words are
    case-folded.
    """
    found: dict[tuple[str, ...], None] = {}
    for length in range(_PHRASE_WORDS_MAX, 1, -1):
        for start in range(max(0, place - length + 1), min(place, len(words) - length) + 1):
            phrase = tuple(words[start : start + length])
            found |= dict.fromkeys((spelling,) for spelling in _PHRASES.get(phrase, ()))
    found |= dict.fromkeys(_of_word(words[place]))
    return tuple(row for row in found if row != (words[place],))


#: Finding a stem takes 50 us, and queries repeat their words.
@lru_cache(maxsize=4_096)
def _of_word(word: str) -> tuple[tuple[str, ...], ...]:
    own = stem(word)
    # `oper` is also the stem of `operation`, and as such it is looked up anyway.
    short = ((spelling,) for spelling in _STEMS.get(own, ()) if spelling != own)
    return (*short, *_SPELLINGS.get(word, ()))

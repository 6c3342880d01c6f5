"""The page that `report.py` fills in: plain HTML and CSS, nothing loaded from elsewhere."""

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>vxp_ros demo</title>
<style>
:root { --ink: #1f2933; --soft: #5b6775; --line: #d9dee5; --right: #1a936f; --wrong: #d1495b; --wash: #f6f7f9; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; color: var(--ink); background: #fff;
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { margin: 0 0 .3rem; font-size: 1.6rem; line-height: 1.2; }
h2 { margin: 2.6rem 0 .6rem; font-size: 1.25rem; }
h3 { margin: 1.6rem 0 .4rem; font-size: 1rem; }
p { margin: .5rem 0; max-width: 46rem; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.note { margin: 1rem 0; padding: .7rem 1rem; border-left: 4px solid #e9a23b; background: #fdf7ec; max-width: 46rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .7rem; margin: 1.2rem 0; }
.tile { flex: 1 1 9rem; padding: .7rem .9rem; background: var(--wash); border-radius: .5rem; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.3; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; }
.first { padding-left: 1.8rem; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.text { text-align: left; white-space: normal; }
.yes { color: var(--right); font-weight: 600; } .no { color: var(--wrong); font-weight: 600; }
figure { margin: 1rem 0; break-inside: avoid; }
img { max-width: 100%; height: auto; display: block; }
.examples { display: flex; flex-wrap: wrap; gap: 1.2rem; }
.examples img { width: 100%; }
.examples figure { flex: 1 1 24rem; max-width: 40rem; margin: 0; padding: .8rem; border: 1px solid var(--line);
                   border-radius: .5rem; }
@media print { body { font-size: 11pt; max-width: none; padding: 0; } h2 { break-after: avoid; }
  .tile, .note { border: 1px solid var(--line); background: none; } .scroll { overflow: visible; } }
</style>
</head>
<body>
<h1>Where am I? Camera and LiDAR place recognition over ROS 2</h1>
<p class="soft">vxp_ros {{ summary.versions.vxp_ros }}, model {{ summary.model }}, map {{ summary.map }},
{{ summary.data.name }}, {{ summary.created[:16] | replace("T", " ") }} UTC</p>
<p>A bag player published {{ summary.data.map_frames }} recorded frames to the mapper node, which saved a place map. The
player then published {{ summary.data.query_frames }} other frames, once per mode, to the localizer node, which answered
each with place candidates.
{{ "In a second act loop closures work against the drift of odometry." if summary.loops.closures is defined }}
Player, nodes and recorder are separate processes on real Fast DDS.</p>

<div class="tiles">
<div class="tile"><b>{{ summary.queries_answered }} / {{ summary.frames_sent.query }}</b>queries answered</div>
<div class="tile"><b>{{ summary.candidates }}</b>candidates received</div>
<div class="tile"><b>{{ summary.map_places }}</b>places in the map</div>
<div class="tile"><b>{{ summary.latency_ms.end_to_end.p50 | number }} ms</b>median end to end</div>
<div class="tile">
<b class="{{ "yes" if summary.balanced else "no" }}">{{ "all" if summary.balanced else "NOT all" }}</b>
frames accounted for</div>
</div>

<div class="note">{% for sentence in summary.caveats %}{{ sentence }} {% endfor %}</div>

<h2>Is the answer right?</h2>
<p>Recall@1: the share of the answered queries to known places whose best candidate lies within
{{ summary.recall_radius_m | number }} m of the truth. Read it next to the controls on the same frames: pure chance, the
same answers on a map whose places were shuffled, the same network with random weights, and grey pictures of 8 x 16
pixels (camera on both sides).</p>
<div class="scroll"><table>
<tr><th>mode</th><th>query</th><th>map</th><th>answered</th><th>recall@1</th>
<th>chance</th><th>shuffled map</th><th>random weights</th><th>8 x 16 pictures</th></tr>
{% for mode, pair in modes.items() %}
<tr><td><b>{{ mode }}</b></td><td>{{ pair[0] }}</td><td>{{ pair[1] }}</td>
<td>{{ summary.accounting[mode].answered }} of {{ summary.accounting[mode].sent }}</td>
<td><b>{{ summary.recall_at_1[mode] | percent }}</b></td><td>{{ summary.controls.chance | percent }}</td>
<td>{{ summary.controls.shuffled_map[mode] | percent }}</td>
<td>{{ summary.controls.random_weights[mode] | percent }}</td>
<td>{{ summary.controls.thumbnails_8x16 | percent if mode == "2D-2D" else "" }}</td></tr>
{% endfor %}
</table></div>
<figure><img src="{{ pictures.matches | picture }}" alt="Every query on the map, per mode">
<figcaption>The map from above. Each dot is a query where it truly was; filled dots are answers that the node believed.
A red line leads to the wrong place that a query was taken for.</figcaption></figure>

<h2>Does it know what it does not know?</h2>
<p>A query is unknown when no place of the map lies within {{ summary.recall_radius_m | number }} m. The node believes
its best place only when the model's calibration, fitted on another synthetic town, gives it a probability of at least
{{ summary.min_probability }}; otherwise it answers "ambiguous". How many answers of each kind were believed:</p>
<div class="scroll"><table>
<tr><th>mode</th><th>right</th><th>wrong</th><th>unknown</th></tr>
{% for mode in modes %}{% set known = summary.verdicts[mode].known %}{% set unknown = summary.verdicts[mode].unknown %}
<tr><td><b>{{ mode }}</b></td><td>{{ known.accepted_right }} of {{ known.right }}</td>
<td>{{ known.accepted_wrong }} of {{ known.queries - known.right }}</td>
<td>{{ unknown.accepted_wrong }} of {{ unknown.queries }}</td></tr>
{% endfor %}
</table></div>

<h2>Examples</h2>
<p>For each mode the middle one of the right and of the wrong answers, if there are such; none is chosen by hand.</p>
{% for mode, pair in modes.items() %}
{% if pictures.examples[mode] %}
<h3>{{ mode }}{% if mode != "fused" %}: {{ pair[0] }} against {{ pair[1] }}{% endif %}</h3>
<div class="examples">
{% for file in pictures.examples[mode] %}
<figure><img src="{{ file | picture }}" alt="{{ mode }}: query and best candidate"></figure>
{% endfor %}
</div>
{% endif %}
{% endfor %}

<h2>Second act: loop closures against drift</h2>
{% set loops = summary.loops %}
{% if loops.closures is not defined %}
<p>Left out: {{ loops.left_out }}.</p>
{% else %}
<p>The player published {{ loops.metres | number }} m of another drive through the town, which comes back to streets
that it knows, with odometry that goes wrong as a car's does. The loop closer kept {{ loops.keyframes }} keyframes,
looked back from {{ loops.looked_at }} of them and published {{ loops.closures }} loop
closures that stand ({{ loops.retracted }} were retracted). {{ loops.wrong }} of them
{{ "is" if loops.wrong == 1 else "are" }} wrong, off by more than half a metre or 2 degrees; the median is off by
{{ loops.median_m | number(2) }} m. The pose graph node computed the path with them.</p>
<div class="scroll"><table>
<tr><th>metres from the truth</th><th>odometry alone</th><th>with loop closures</th></tr>
<tr><td>over the drive (root mean square)</td><td>{{ loops.rms_m.odometry | number(2) }}</td>
<td><b>{{ loops.rms_m.path | number(2) }}</b></td></tr>
<tr><td>at the end</td><td>{{ loops.end_m.odometry | number(2) }}</td>
<td><b>{{ loops.end_m.path | number(2) }}</b></td></tr>
</table></div>
<figure><img src="{{ pictures.loops | picture }}" alt="The trajectory before and after">
<figcaption>Both trajectories begin at the true pose. The path and all constraints are in slam/ beside this
page, as a TUM trajectory and a g2o graph.</figcaption></figure>
{% endif %}

<h2>How fast?</h2>
<p>End to end: from the player's publishing of a frame's last message to the receipt of the answer in the recorder, at
{{ summary.replay_hz | number(1) }} frames per second on {{ summary.versions.cpu_cores }} CPU
cores. Stages: as the localizer reports them in /diagnostics. Milliseconds, median and 95th percentile.</p>
<div class="scroll"><table>
<tr><th></th>{% for mode in modes %}<th colspan="2">{{ mode }}</th>{% endfor %}</tr>
<tr><th>stage</th>{% for mode in modes %}<th class="first">p50</th><th>p95</th>{% endfor %}</tr>
{% for stage in stages %}
<tr><td>{{ stage | replace("_", " ") }}</td>
{% for mode in modes %}{% set ms = summary.latency_ms_by_mode[mode].get(stage, {}) %}
<td class="first">{{ ms.get("p50") | number(1) }}</td><td>{{ ms.get("p95") | number(1) }}</td>
{% endfor %}</tr>
{% endfor %}
</table></div>
<figure><img src="{{ pictures.latency | picture }}" alt="Histogram of end-to-end latency per mode"></figure>

<h2>Is every frame accounted for?</h2>
<p>Sent = received + lost on the way; received = processed + dropped + still in flight. Every processed frame has its
answer, in the mapping phase a keyframe. The demo fails if a line does not add up or a frame is lost. A drop has its
reason: "superseded" frames were replaced by a newer one while the node was busy.</p>
<div class="scroll"><table>
<tr><th>phase</th><th>sent</th><th>lost</th><th>received</th><th>processed</th><th>answers</th><th>dropped</th>
<th>in flight</th><th>balanced</th></tr>
{% for phase, row in summary.accounting.items() %}
<tr><td>{{ phase }}</td><td>{{ row.sent }}</td><td>{{ row.lost }}</td><td>{{ row.received }}</td>
<td>{{ row.processed }}</td><td>{{ row.answers }}</td><td>
{% for reason, count in row.dropped.items() %}{{ count }} {{ reason }}{{ ", " if not loop.last }}{% else %}0{% endfor %}
</td><td>{{ row.in_flight }}</td>
<td class="{{ 'yes' if row.balanced else 'no' }}">{{ "yes" if row.balanced else "no" }}</td></tr>
{% endfor %}
</table></div>

<h2>What it took</h2>
<div class="scroll"><table>
<tr><th></th><th></th>{% for role in roles %}<th colspan="2">{{ role }}</th>{% endfor %}</tr>
<tr><th>phase</th><th>seconds</th>{% for role in roles %}<th class="first">CPU</th><th>MB</th>{% endfor %}</tr>
{% for phase, processes in costs.items() %}
<tr><td>{{ phase }}</td><td>{{ summary.seconds.get(phase) | number(1) }}</td>
{% for role in roles %}{% set name = processes.get(role) %}
<td class="first">{{ summary.cpu.get(name) | share }}</td><td>{{ summary.rss_mb.get(name) | number }}</td>
{% endfor %}</tr>
{% endfor %}
</table></div>
<p class="soft">CPU: mean over the life of the process, start-up included; 100 % is one core. MB: largest resident
memory.</p>
<h3>Versions</h3>
<div class="scroll"><table>
{% for name, value in summary.versions.items() %}
<tr><td>{{ name | replace("_", " ") if name != "vxp_ros" else name }}</td><td class="text">{{ value }}</td></tr>
{% endfor %}
</table></div>
<p class="soft">Sensor data: {{ summary.data.name }}. Numbers: summary.json beside this page; logs of all processes:
logs/.</p>
</body>
</html>
"""

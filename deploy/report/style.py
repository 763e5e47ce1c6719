"""The look of a report: system fonts, one column, light and dark."""

CSS = """
:root{--bg:#fbfaf8;--card:#fff;--ink:#1b2230;--quiet:#5a6474;--line:#dfe3ea;--accent:#0b6e99;--soft:#e6f1f6;
--a:#0b7fb0;--b:#b3541e;--c:#5b4bb5;--d:#3f7d2c;--pale:#c4ccd9;--tan:#a8763e;--shade:rgba(20,30,50,.06)}
@media (prefers-color-scheme:dark){:root{--bg:#0e131c;--card:#151c28;--ink:#e6ebf3;--quiet:#9aa7ba;--line:#2a3444;
--accent:#5cc4ee;--soft:#17303d;--pale:#f0f4fa;--tan:#cda87a;--a:#4fbbe8;--b:#f0a066;--c:#b3a4ff;--d:#8fd36f;--shade:rgba(0,0,0,.35)}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
main,footer{max-width:960px;margin:0 auto;padding:0 24px}
header{padding:56px 0 8px}
.kicker{margin:0;color:var(--accent);font-size:13px;font-weight:650;letter-spacing:.12em;text-transform:uppercase}
h1{margin:6px 0 12px;font-size:clamp(28px,5vw,42px);line-height:1.15;letter-spacing:-.02em;text-wrap:balance}
.lede{margin:0;max-width:44em;color:var(--quiet);font-size:18px;text-wrap:pretty}
section{margin:44px 0 0}
h2{margin:0 0 14px;font-size:22px;letter-spacing:-.01em}
h3{margin:24px 0 8px;font-size:16px}
p{margin:0 0 12px}
.note,figcaption{color:var(--quiet);font-size:14px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0;padding:0}
.tiles div{padding:16px 18px;background:var(--card);border:1px solid var(--line);border-radius:12px;
box-shadow:0 1px 3px var(--shade)}
.tiles dt{color:var(--quiet);font-size:13px}
.tiles dd{margin:2px 0 0;font-size:28px;font-weight:650;line-height:1.2;letter-spacing:-.02em;
font-variant-numeric:tabular-nums}
.tiles dd small{display:block;color:var(--quiet);font-size:13px;font-weight:400;letter-spacing:0}
figure{margin:0}
figcaption{margin-top:10px}
video{display:block;width:100%;aspect-ratio:16/9;background:#0a0d15;border-radius:14px;
box-shadow:0 8px 30px var(--shade)}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:12px}
table{width:100%;border-collapse:collapse;font-size:15px;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:10px 16px;color:var(--quiet);font-size:14px}
th,td{padding:9px 16px;border-top:1px solid var(--line);text-align:left;vertical-align:top}
thead th{border-top:0;color:var(--quiet);font-size:13px;font-weight:600}
caption+thead th{border-top:1px solid var(--line)}
tbody th{font-weight:500}
td.n,th.n{text-align:right;white-space:nowrap}
thead th.n{white-space:normal}
td.wide{min-width:150px;vertical-align:middle}
.scroll+.note,.chart+.note{margin-top:10px}
.chart+.note+.scroll{margin-top:16px}
.chart{overflow-x:auto;padding:12px 10px 4px;background:var(--card);border:1px solid var(--line);border-radius:12px}
.chart+.legend{margin:8px 2px 0}
.chart svg{display:block;width:100%;min-width:560px;height:auto}
svg text{fill:var(--quiet);font-size:12px;font-family:inherit}
svg text.name{fill:var(--ink)}
svg .value{font-weight:650}
svg .grid{stroke:var(--line);stroke-width:1}
svg .tick,svg .whisker{stroke:var(--quiet);stroke-width:1.4}
svg .curve{fill:none;stroke-width:2;stroke-linejoin:round}
svg .bar{fill:var(--a)}
svg.interval{display:block;width:100%;min-width:120px;height:14px}
svg.interval .axis{stroke:var(--line);stroke-width:1}
svg.interval rect{fill:var(--a);opacity:.45}
svg.interval .mean{stroke:var(--a);stroke-width:2;vector-effect:non-scaling-stroke}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;color:var(--quiet);font-size:14px}
.legend i{display:inline-block;width:12px;height:12px;margin-right:7px;border-radius:3px;vertical-align:-1px}
code,pre{font-family:ui-monospace,"Cascadia Mono","SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:14px}
pre{margin:0;padding:12px 16px;overflow-x:auto;background:var(--soft);border-radius:10px}
.commands dt{margin:14px 0 6px}
.commands dd{margin:0}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0 0 16px}
.facts dt{color:var(--quiet)}
.facts dd{margin:0;overflow-wrap:anywhere}
footer{margin-top:56px;padding-bottom:48px;color:var(--quiet);font-size:14px}
footer p{padding-top:16px;border-top:1px solid var(--line)}
@media (max-width:560px){main,footer{padding:0 16px}header{padding-top:32px}.facts{grid-template-columns:1fr;gap:0}
.facts dd{margin-bottom:8px}.tiles{grid-template-columns:1fr 1fr}th,td{padding:8px 12px}}
@media print{.scroll,.chart,.tiles div{box-shadow:none;break-inside:avoid}video{display:none}}
"""

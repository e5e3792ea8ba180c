//! How the page looks, on a screen and on paper.

/// Plain, printable, and readable without colour.
pub const STYLE: &str = "
@page { size: A4; margin: 14mm 12mm; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1b2024;
  font: 10.5pt/1.42 system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif; }
main { max-width: 200mm; margin: 0 auto; padding: 8mm 5mm; }
h1 { font-size: 19pt; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 12.5pt; margin: 7mm 0 2mm; border-bottom: 1.5px solid #1b2024; }
h3 { font-size: 10.5pt; margin: 4mm 0 1mm; }
.site { font-size: 13pt; margin: 0 0 3mm; color: #47535c; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .5mm 5mm; margin: 0; }
dt { color: #5c6871; } dd { margin: 0; } small { color: #5c6871; }
p { margin: 2mm 0; max-width: 170mm; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 2mm; margin: 5mm 0 3mm; }
.tiles div { border: 1px solid #cfd6db; padding: 2mm 2.5mm; }
.tiles div:first-child { background: #1b2024; color: #fff; }
.tiles span { display: block; font-size: 8.5pt; opacity: .8; }
.tiles b { font-size: 13pt; font-variant-numeric: tabular-nums; white-space: nowrap; }
table { width: 100%; border-collapse: collapse; font-size: 8.8pt;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; border-bottom: 1px solid #1b2024; vertical-align: bottom; }
th, td { padding: .8mm 1.2mm; } td { border-bottom: 1px solid #e3e8eb; }
.n { text-align: right; } tbody td.n { white-space: nowrap; }
.sum td { font-weight: 700; border-top: 1px solid #1b2024; border-bottom: none; }
.dates { font-size: 8.2pt; } .dates td { white-space: nowrap; }
.formulas td.n { text-align: left; white-space: normal;
  font: 8.4pt/1.35 ui-monospace, 'Liberation Mono', monospace; }
figure { margin: 3mm 0 5mm; } figcaption { font-size: 9pt; margin-bottom: 1mm; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 9.5px system-ui, 'Liberation Sans', Arial, sans-serif; fill: #47535c; }
svg .unit { font-weight: 600; }
svg .grid { stroke: #e3e8eb; } svg .zero { stroke: #8b979f; } svg .tick { stroke: #8b979f; }
.notes { font-size: 8.8pt; } .notes ol, .notes ul { padding-left: 5mm; margin: 1mm 0; }
.warn { border-left: 4px solid #b4542d; padding-left: 3mm; }
@media print {
  main { max-width: none; padding: 0; } thead { display: table-header-group; }
  tr, figure, .tiles { break-inside: avoid; } h2, h3, figcaption { break-after: avoid; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
";

package image

import (
	"encoding/json"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// chiselManifest reads the manifest of a chiselled Ubuntu image: JSON lines inside of zstd, of
// which those of kind "package" are kept. Source: canonical/chisel, internal/manifestutil.
func (c *collector) chiselManifest(p string, r io.Reader) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil
	}
	defer z.Close()
	var out []evidence.Component
	room := c.memory
	// A broken frame ends the list; it is not an error of the layer.
	_ = eachLine(io.LimitReader(z, maxMetadata), func(line []byte) bool {
		if comp, ok := parseChiselLine(line); ok {
			comp.Path = p
			out = append(out, comp)
			room -= packageCost + 3*len(comp.PURL)
		}
		return room >= 0
	})
	if room < 0 {
		c.full()
	}
	c.database(p, out)
	return nil
}

func parseChiselLine(line []byte) (evidence.Component, bool) {
	var pkg struct{ Kind, Name, Version, Arch string }
	if json.Unmarshal(line, &pkg) != nil || pkg.Kind != "package" || !isSystemName(pkg.Name) || !believable(pkg.Version) {
		return evidence.Component{}, false
	}
	return evidence.Component{PURL: purl.New(purl.Debian, "ubuntu/"+pkg.Name, pkg.Version, "arch", pkg.Arch)}, true
}

package tracetest

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// Scale is the size of a generated company.
type Scale struct {
	Images   int // each with four layers of its own on one of the bases
	Packages int // published here
	Versions int // of each package
	Bases    int // base images of five layers
	Teams    int // that own the packages and repositories
	Public   int // packages of other registries, found in layers only
	Pods     int // with one container each; the images take turns
}

// Full is the scale of the blast-radius target: 10,000 images, 50,000 releases, about 40,000
// layers, a million component rows and 150,000 pods.
func Full() Scale {
	return Scale{Images: 10000, Packages: 5000, Versions: 10, Bases: 40, Teams: 300, Public: 20000, Pods: 150_000}
}

// Part returns the scale with everything but the teams divided by n.
func (s Scale) Part(n int) Scale {
	return Scale{
		Images: s.Images / n, Packages: s.Packages / n, Versions: s.Versions, Bases: max(s.Bases/n, 2),
		Teams: s.Teams, Public: s.Public / n, Pods: s.Pods / n,
	}
}

// batch is how many statements are appended in one transaction.
const batch = 2000

// World is what Generate made, for choosing queries. Its choices are repeatable.
type World struct {
	scale    Scale
	record   *evidence.Record
	b        *Builder
	rand     *rand.Rand
	releases *rand.Zipf // popularity of what is published here
	public   *rand.Zipf // popularity of what is not

	purls  []purl.PURL // of releases
	files  [][]evidence.File
	bases  [][]evidence.ImageLayer
	debs   [][]purl.PURL // of each base's second layer, to be removed again
	pulled []digest.Digest
	Images []string // references by tag
}

// Generate fills record with a company of that scale. Equal scales give equal records.
func Generate(ctx context.Context, record *evidence.Record, s Scale) (*World, error) {
	r := rand.New(rand.NewPCG(1, 2))
	w := &World{
		scale: s, record: record, b: NewBuilder(ctx, record), rand: r,
		releases: rand.NewZipf(r, 1.1, 20, uint64(s.Packages*s.Versions-1)),
		public:   rand.NewZipf(r, 1.1, 20, uint64(s.Public-1)),
	}
	steps := []struct {
		n    int
		make func(int)
	}{{s.Packages, w.publish}, {s.Bases, w.base}, {s.Images, w.image}, {s.Pods, w.pod}}
	for _, step := range steps {
		for i := range step.n {
			step.make(i)
			if w.b.Pending() < batch {
				continue
			}
			if err := w.b.Append(); err != nil {
				return nil, err
			}
		}
	}
	return w, w.b.Append()
}

func (w *World) team(i int) string { return fmt.Sprintf("team%03d", i%w.scale.Teams) }

// publish publishes every version of a package. Of six files two are new in each version and four
// change with every third.
func (w *World) publish(i int) {
	team := w.team(i)
	name := fmt.Sprintf("@%s/lib%04d", team, i)
	for v := range w.scale.Versions {
		var files []evidence.File
		for f := range 6 {
			generation := v / 3
			if f < 2 {
				generation = 1000 + v
			}
			files = append(files, evidence.File{
				Path: fmt.Sprintf("package/lib/%d.js", f), Size: 900, Mode: 0o644,
				SHA256: Digest(fmt.Sprintf("%s %d %d", name, generation, f)),
			})
		}
		w.files = append(w.files, files)
		w.purls = append(w.purls, w.b.Release(team+"-ci", name, fmt.Sprintf("1.%d.0", v), files))
	}
}

// base makes a base image's five layers, 80 distribution packages each.
func (w *World) base(i int) {
	var stack []evidence.ImageLayer
	for l := range 5 {
		var purls []purl.PURL
		for c := range 80 {
			purls = append(purls, purl.New(purl.Debian, fmt.Sprintf("debian/pkg%d-%d", l, c), fmt.Sprintf("1.%d", i/4)))
		}
		stack = append(stack, w.b.Layer(fmt.Sprintf("base %d %d", i, l), Components(purls...), nil))
		if l == 1 {
			w.debs = append(w.debs, purls)
		}
	}
	w.bases = append(w.bases, stack)
}

// image makes an image: a base, then runtime, dependencies, application and configuration.
func (w *World) image(i int) {
	base := w.rand.IntN(len(w.bases))
	stack := append([]evidence.ImageLayer{}, w.bases[base]...)
	stack = append(stack,
		w.layer(i, "runtime", w.others(30), nil),
		w.dependencies(i),
		w.application(i),
		w.configuration(i))
	var hidden []evidence.HiddenComponent
	if i%30 == 0 {
		hidden = append(hidden, evidence.HiddenComponent{Position: 1, PURL: w.debs[base][i%80]})
	}
	team := w.team(i)
	repository, tag := fmt.Sprintf("%s/app%d", team, i/w.scale.Teams%8), fmt.Sprintf("1.%d", i)
	w.Images = append(w.Images, repository+":"+tag)
	w.pulled = append(w.pulled, w.b.Image(team+"-ci", repository, tag, hidden, stack...))
}

// pod runs an image somewhere; the pods of an image are one workload.
func (w *World) pod(i int) {
	n := i % len(w.pulled)
	w.b.drafts = append(w.b.drafts, evidence.Draft{
		Subjects: []evidence.Subject{evidence.About("", w.pulled[n])},
		Predicate: evidence.Placement{
			WorkloadRef: evidence.WorkloadRef{Cluster: "prod", Namespace: w.team(n), Kind: "Deployment", Name: fmt.Sprintf("app%d", n)},
			Node:        fmt.Sprintf("node-%d", i%5000), Pod: fmt.Sprintf("app%d-%d", n, i), Container: fmt.Sprintf("c%d", i), Running: true,
		},
		Issuer: evidence.Issuer{Kind: evidence.Agent, ID: fmt.Sprintf("agent/prod/node-%d", i%5000)}, Assurance: evidence.Observed,
	})
}

func (w *World) layer(i int, sort string, purls []purl.PURL, files []evidence.File) evidence.ImageLayer {
	return w.b.Layer(fmt.Sprintf("%s %d", sort, i), Components(purls...), files)
}

// others picks n components that nobody published here.
func (w *World) others(n int) []purl.PURL {
	out := make([]purl.PURL, n)
	for i := range out {
		k := w.public.Uint64()
		out[i] = purl.New(purl.NPM, fmt.Sprintf("public%05d", k/4), fmt.Sprintf("2.%d.0", k%4))
	}
	return out
}

// dependencies installs eight releases with their files, among 42 others.
func (w *World) dependencies(i int) evidence.ImageLayer {
	purls := w.others(42)
	var files []evidence.File
	for n := range 8 {
		k := w.releases.Uint64()
		purls = append(purls, w.purls[k])
		files = append(files, w.moved(k, fmt.Sprintf("app/node_modules/%d/", n))...)
	}
	return w.layer(i, "dependencies", purls, files)
}

// application holds files of its own and, in one image of twenty, a vendored copy of a release.
func (w *World) application(i int) evidence.ImageLayer {
	var files []evidence.File
	for f := range 12 {
		files = append(files, evidence.File{
			Path: fmt.Sprintf("app/src/%d.js", f), Size: 500, Mode: 0o644, SHA256: Digest(fmt.Sprintf("app %d %d", i, f)),
		})
	}
	if i%20 == 0 {
		files = append(files, w.moved(w.releases.Uint64(), "app/vendor/")...)
	}
	return w.layer(i, "application", w.others(10), files)
}

// configuration is the top layer. Every fifth cleans up below it, one in forty also what was vendored.
func (w *World) configuration(i int) evidence.ImageLayer {
	inv := evidence.Inventory{Components: Components(w.others(2)...)}
	if i%5 == 0 {
		for n := range 20 {
			inv.Whiteouts = append(inv.Whiteouts, fmt.Sprintf("var/cache/%02d", n))
		}
	}
	if i%40 == 0 {
		inv.Opaque = []string{"app/vendor"}
	}
	return w.b.layer(fmt.Sprintf("configuration %d", i), inv)
}

func (w *World) moved(release uint64, folder string) []evidence.File {
	files := append([]evidence.File{}, w.files[release]...)
	for i := range files {
		files[i].Path = folder + files[i].Path
	}
	return files
}

// Popular picks a release as images do: the more images have it, the likelier.
func (w *World) Popular() string { return string(w.purls[w.releases.Uint64()]) }

// Newest returns the release of that rank, most popular first.
func (w *World) Ranked(rank int) string { return string(w.purls[rank]) }

// Component picks a component that nobody published here, as images do.
func (w *World) Component() string { return string(w.others(1)[0]) }

// Distribution picks a distribution package of a base image.
func (w *World) Distribution() string {
	return string(w.debs[w.rand.IntN(len(w.debs))][w.rand.IntN(80)])
}

// File picks a file of a popular release.
func (w *World) File() string {
	files := w.files[w.releases.Uint64()]
	return string(files[w.rand.IntN(len(files))].SHA256)
}

// Image picks an image.
func (w *World) Image() string { return w.Images[w.rand.IntN(len(w.Images))] }

// Publisher picks an account.
func (w *World) Publisher() string {
	return "publisher:" + w.team(w.rand.IntN(w.scale.Teams)) + "-ci"
}

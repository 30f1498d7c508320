package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// npm measures the npm registry against Verdaccio, and our memory meanwhile.
func (b *bench) npm(ctx context.Context) error {
	ours, err := b.startOurs(ctx, "npm")
	if err != nil {
		return err
	}
	defer ours.stop()
	idle, err := ours.memory("VmRSS")
	if err != nil {
		return err
	}
	b.report.add(
		judge("start of hullmark dev", "s", target{atMost: 2}, []float64{ours.ready.Seconds()}, nil),
		judge("resident memory, idle", "MB", target{atMost: 100}, []float64{idle}, nil))

	peer, err := b.startVerdaccio(ctx)
	if err != nil {
		return err
	}
	defer peer.stop()
	if err := b.npmFixtures(ctx, ours, peer); err != nil {
		return err
	}
	if err := b.npmReads(ctx, "", ours, peer); err != nil {
		return err
	}
	if err := b.npmProxied(ctx, ours, peer); err != nil {
		return err
	}
	if err := b.npmPublishes(ctx, ours, peer); err != nil {
		return err
	}
	return b.npmMemory(ours, peer)
}

// The packages that are read.
const (
	smallPackage = "@bench/small" // a packument of 11 KB and a tarball of 62 KB
	largePackage = "@bench/large" // a packument of 7.9 MB
	smallCount   = 10
	largeCount   = 2000
)

// npmFixtures publishes the same packages on both sides. The large one reaches the peer through its
// storage folder: publishing 2,000 versions there one by one takes it most of an hour.
func (b *bench) npmFixtures(ctx context.Context, ours, peer *server) error {
	say("  publishing the packages that are read")
	for i := range smallCount {
		r := release{name: smallPackage, version: fmt.Sprintf("1.%d.0", i), bulk: 380, tarball: 58_600}
		for _, s := range []*server{ours, peer} {
			if _, err := s.publish(ctx, r); err != nil {
				return err
			}
		}
	}
	for i := range largeCount {
		if _, err := ours.publish(ctx, release{name: largePackage, version: fmt.Sprintf("1.%d.0", i), bulk: 3210, tarball: 1000}); err != nil {
			return err
		}
	}
	return b.copyToVerdaccio(ctx, ours, largePackage)
}

// npmReads measures downloads. where comes behind the rows' names.
func (b *bench) npmReads(ctx context.Context, where string, ours, peer *server) error {
	gzip := []string{"Accept-Encoding: gzip"}
	small := escape(smallPackage)
	for _, c := range []struct {
		name, path string
		load       load
		ratio      float64
	}{
		{"npm packument, 11 KB", small, load{32, 5 * time.Second, nil}, 12},
		{"npm tarball, 62 KB", smallPackage + "/-/small-1.0.0.tgz", load{32, 5 * time.Second, nil}, 8},
		{"npm packument, 2,000 versions", escape(largePackage), load{20, 10 * time.Second, nil}, 25},
		{"npm packument, 2,000 versions, gzip", escape(largePackage), load{20, 10 * time.Second, gzip}, 100},
	} {
		size, err := ours.size(ctx, c.path)
		if err != nil {
			return err
		}
		rate := func(s *server) func(context.Context, int) (float64, error) {
			return func(ctx context.Context, _ int) (float64, error) {
				got, err := c.load.run(ctx, s.npm+c.path)
				return got.perSecond, err
			}
		}
		our, their, err := b.inTurn(ctx, rate(ours), rate(peer))
		if err != nil {
			return err
		}
		r := judge(c.name+where, "req/s", target{ratio: c.ratio}, our, their)
		r.Note = fmt.Sprintf("%d bytes plain, wrk -t1 -c%d", size, c.load.connections)
		b.report.add(r)
	}
	return nil
}

// npmPublishes measures how long the server takes for a PUT of a 60 KB tarball, one after another.
func (b *bench) npmPublishes(ctx context.Context, ours, peer *server) error {
	const perRound = 20
	p50 := func(s *server) func(context.Context, int) (float64, error) {
		return func(ctx context.Context, round int) (float64, error) {
			var took []float64
			for i := range perRound {
				r := release{name: fmt.Sprintf("@bench/publish-%d", round), version: fmt.Sprintf("1.0.%d", i), bulk: 380, tarball: 56_700}
				d, err := s.publish(ctx, r)
				if err != nil {
					return 0, err
				}
				took = append(took, float64(d.Microseconds())/1000)
			}
			slices.Sort(took)
			return median(took), nil
		}
	}
	our, their, err := b.inTurn(ctx, p50(ours), p50(peer))
	if err != nil {
		return err
	}
	b.report.add(judge("npm publish, 60 KB, p50", "ms", target{atMost: 15, less: true}, our, their))
	return nil
}

// npmMemory reports the most memory that both held since they started.
func (b *bench) npmMemory(ours, peer *server) error {
	our, err := ours.memory("VmHWM")
	if err != nil {
		return err
	}
	their, err := peer.memory("VmHWM")
	if err != nil {
		return err
	}
	b.report.add(judge("resident memory, most under the npm load", "MB", target{atMost: 150, less: true}, []float64{our}, []float64{their}))
	return nil
}

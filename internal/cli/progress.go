package cli

import (
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// bar shows how far long work is. Where standard error is no terminal it shows nothing.
type bar struct {
	container *mpb.Progress
	bar       *mpb.Bar
}

func (e *env) progress(what string, total int64) *bar {
	f, ok := e.Err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("CI") != "" {
		return &bar{}
	}
	p := mpb.New(mpb.WithOutput(f), mpb.WithWidth(48))
	return &bar{container: p, bar: p.AddBar(total,
		mpb.PrependDecorators(decor.Name(what+" ")),
		mpb.AppendDecorators(decor.CountersNoUnit("%d/%d "), decor.AverageETA(decor.ET_STYLE_GO)))}
}

// at tells the bar how much is done.
func (b *bar) at(done, _ int64) {
	if b.bar != nil {
		b.bar.SetCurrent(done)
	}
}

// end takes the bar away.
func (b *bar) end() {
	if b.bar == nil {
		return
	}
	b.bar.Abort(false)
	b.container.Wait()
}

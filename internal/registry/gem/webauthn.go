package gem

type waiting struct{}

func newWaiting() *waiting { return &waiting{} }

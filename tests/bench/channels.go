// Goroutines that hand over to one another: Go's share of greenlet.py.
//
//	channels switch N   CPU seconds of one switch, N times there and back
//	channels create N   CPU seconds to start a goroutine and see it end
//	channels wait N     kilobytes that each of N waiting goroutines takes
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	// One processor, for greenlets have one too.
	runtime.GOMAXPROCS(1)
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	works := map[string]func(int) float64{
		"switch": thereAndBack, "create": startAndEnd, "wait": wait,
	}
	fmt.Println(works[os.Args[1]](count))
}

func thereAndBack(turns int) float64 {
	there, back := make(chan bool), make(chan bool)
	go func() {
		for range there {
			back <- true
		}
	}()
	before := seconds()
	for i := 0; i < turns; i++ {
		there <- true
		<-back
	}
	took := seconds() - before
	close(there)
	return took / float64(turns) / 2
}

func startAndEnd(turns int) float64 {
	ended := make(chan bool)
	before := seconds()
	for i := 0; i < turns; i++ {
		go func() { ended <- true }()
		<-ended
	}
	return (seconds() - before) / float64(turns)
}

func wait(count int) float64 {
	gate := make(chan bool)
	before := resident()
	for i := 0; i < count; i++ {
		go func() { <-gate }()
	}
	runtime.Gosched()
	return (resident() - before) / float64(count)
}

// seconds returns the CPU time of this process, the kernel's share included.
func seconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	nanoseconds := usage.Utime.Nano() + usage.Stime.Nano()
	return float64(nanoseconds) / 1e9
}

// resident returns the kilobytes of memory that this process now has, or the
// most it has had where the system tells no more.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
		return float64(pages*os.Getpagesize()) / 1024
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	if runtime.GOOS == "darwin" {
		return float64(usage.Maxrss) / 1024
	}
	return float64(usage.Maxrss)
}

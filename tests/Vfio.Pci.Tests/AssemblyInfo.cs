// The leak guard looks at the whole process, and some tests measure.
[assembly: Xunit.CollectionBehavior(DisableTestParallelization = true)]

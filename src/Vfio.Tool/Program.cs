using Vfio.Run;
using Vfio.Tool;

// The process that becomes a supervised program is this executable too, and does nothing else.
return args is [ProgramStub.Command, .. { } rest] ? ProgramStub.Run(rest) : await CommandLine.RunAsync(args);

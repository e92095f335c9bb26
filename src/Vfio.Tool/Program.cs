using Vfio.Tool;

return await CommandLine.RunAsync(args);

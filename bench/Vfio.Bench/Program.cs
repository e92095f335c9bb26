using System.Globalization;
using Vfio.Bench;

// bench [-f FILTER] [-n SAMPLES] [-o FILE]: see eng/bench.
MeterOptions options = new();
string? output = null;
for (int i = 0; i < args.Length; i++)
{
    string? value = i + 1 < args.Length ? args[i + 1] : null;
    switch (args[i])
    {
        case "-f" when value is not null:
            options = options with { Filter = value };
            break;
        case "-n" when int.TryParse(value, CultureInfo.InvariantCulture, out int samples) && samples > 0:
            options = options with { Samples = samples };
            break;
        case "-o" when value is not null:
            output = value;
            break;
        default:
            await Console.Error.WriteLineAsync("usage: bench [-f FILTER] [-n SAMPLES] [-o FILE]");
            return 2;
    }

    i++;
}

Meter meter = new(options);
Report.PrintHead();
AreaScenarios.Run(meter);
PlacementScenarios.Run(meter);
PinScenarios.Run(meter);
RegisterScenarios.Run(meter);
await DeviceScenarios.RunAsync(meter);
if (output is not null)
{
    Report.Write(output, meter.Measurements);
}

return 0;

using System.Globalization;
using Vfio.Siege;

return args switch
{
    ["client", var act, var path, var sign] when Enum.TryParse(act, ignoreCase: true, out ClientAct known) => DoomedClient.Run(known, path, sign),
    ["soak", var tool, var minutes, .. var options] when double.TryParse(minutes, CultureInfo.InvariantCulture, out double time) => await Soak.RunAsync(tool, time, options),
    ["mutate", var messages, var seed] when long.TryParse(messages, CultureInfo.InvariantCulture, out long most) && int.TryParse(seed, CultureInfo.InvariantCulture, out int first)
        => await MutationRun.RunAsync(most, first),
    ["sandbox", var folder] => SandboxProbe.Run(folder),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("usage: Vfio.Siege client ACT SOCKET SIGN | sandbox FOLDER | soak TOOL MINUTES [OPTION…] | mutate MESSAGES SEED");
    return 2;
}

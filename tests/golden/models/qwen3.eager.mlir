// qwen3, eager, padded: 2 sites
// Read as: causal, key padding, 4 heads over 2 kv heads, scale 0.204124
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, causal_offset = 0, scale = 0.2041241452319315, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[2,31],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, causal_offset = 0, scale = 0.2041241452319315, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[2,31],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: return

// torch 2.13, transformers 5.23
module {
  func.func @main(%arg0: !torch.vtensor<[2,31],si64>, %arg1: !torch.vtensor<[97,64],f32>, %arg2: !torch.vtensor<[2,31],si64>, %arg3: !torch.vtensor<[12],f32>, %arg4: !torch.vtensor<[64],f32>, %arg5: !torch.vtensor<[96,64],f32>, %arg6: !torch.vtensor<[24],f32>, %arg7: !torch.vtensor<[48,64],f32>, %arg8: !torch.vtensor<[24],f32>, %arg9: !torch.vtensor<[48,64],f32>, %arg10: !torch.vtensor<[64,96],f32>, %arg11: !torch.vtensor<[64],f32>, %arg12: !torch.vtensor<[96,64],f32>, %arg13: !torch.vtensor<[96,64],f32>, %arg14: !torch.vtensor<[64,96],f32>, %arg15: !torch.vtensor<[64],f32>, %arg16: !torch.vtensor<[96,64],f32>, %arg17: !torch.vtensor<[24],f32>, %arg18: !torch.vtensor<[48,64],f32>, %arg19: !torch.vtensor<[24],f32>, %arg20: !torch.vtensor<[48,64],f32>, %arg21: !torch.vtensor<[64,96],f32>, %arg22: !torch.vtensor<[64],f32>, %arg23: !torch.vtensor<[96,64],f32>, %arg24: !torch.vtensor<[96,64],f32>, %arg25: !torch.vtensor<[64,96],f32>, %arg26: !torch.vtensor<[64],f32>, %arg27: !torch.vtensor<[97,64],f32>) -> !torch.vtensor<[2,31,97],f32> {
    %int-1 = torch.constant.int -1
    %false = torch.constant.bool false
    %0 = torch.aten.embedding %arg1, %arg0, %int-1, %false, %false : !torch.vtensor<[97,64],f32>, !torch.vtensor<[2,31],si64>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %int31 = torch.constant.int 31
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %1 = torch.aten.arange %int31, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[31],si64>
    %int0 = torch.constant.int 0
    %int1 = torch.constant.int 1
    %2 = torch.aten.add.Scalar %1, %int0, %int1 : !torch.vtensor<[31],si64>, !torch.int, !torch.int -> !torch.vtensor<[31],si64>
    %3 = torch.aten.unsqueeze %2, %int0 : !torch.vtensor<[31],si64>, !torch.int -> !torch.vtensor<[1,31],si64>
    %int11 = torch.constant.int 11
    %4 = torch.aten.to.device %arg2, %cpu, %int11, %false, %false, %none : !torch.vtensor<[2,31],si64>, !torch.Device, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31],i1>
    %int2 = torch.constant.int 2
    %5 = torch.aten.unsqueeze %3, %int2 : !torch.vtensor<[1,31],si64>, !torch.int -> !torch.vtensor<[1,31,1],si64>
    %int6 = torch.constant.int 6
    %6 = torch.aten.to.dtype %5, %int6, %false, %false, %none : !torch.vtensor<[1,31,1],si64>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,31,1],f32>
    %7 = torch.aten.to.device %arg3, %cpu, %int6, %false, %false, %none : !torch.vtensor<[12],f32>, !torch.Device, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[12],f32>
    %8 = torch.aten.mul.Tensor %6, %7 : !torch.vtensor<[1,31,1],f32>, !torch.vtensor<[12],f32> -> !torch.vtensor<[1,31,12],f32>
    %9 = torch.prim.ListConstruct %8, %8 : (!torch.vtensor<[1,31,12],f32>, !torch.vtensor<[1,31,12],f32>) -> !torch.list<vtensor>
    %10 = torch.aten.cat %9, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[1,31,24],f32>
    %11 = torch.aten.cos %10 : !torch.vtensor<[1,31,24],f32> -> !torch.vtensor<[1,31,24],f32>
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %12 = torch.aten.mul.Scalar %11, %float1.000000e00 : !torch.vtensor<[1,31,24],f32>, !torch.float -> !torch.vtensor<[1,31,24],f32>
    %13 = torch.aten.sin %10 : !torch.vtensor<[1,31,24],f32> -> !torch.vtensor<[1,31,24],f32>
    %14 = torch.aten.mul.Scalar %13, %float1.000000e00 : !torch.vtensor<[1,31,24],f32>, !torch.float -> !torch.vtensor<[1,31,24],f32>
    %15 = torch.aten.to.dtype %12, %int6, %false, %false, %none : !torch.vtensor<[1,31,24],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,31,24],f32>
    %16 = torch.aten.to.dtype %14, %int6, %false, %false, %none : !torch.vtensor<[1,31,24],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,31,24],f32>
    %17 = torch.aten.to.dtype %0, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %18 = torch.aten.pow.Tensor_Scalar %17, %int2 : !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %19 = torch.prim.ListConstruct %int-1 : (!torch.int) -> !torch.list<int>
    %true = torch.constant.bool true
    %20 = torch.aten.mean.dim %18, %19, %true, %none : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,1],f32>
    %float9.999990e-07 = torch.constant.float 9.9999999999999995E-7
    %21 = torch.aten.add.Scalar %20, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,1],f32>
    %22 = torch.aten.rsqrt %21 : !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,1],f32>
    %23 = torch.aten.mul.Tensor %17, %22 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,64],f32>
    %24 = torch.aten.to.dtype %23, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %25 = torch.aten.mul.Tensor %arg4, %24 : !torch.vtensor<[64],f32>, !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %26 = torch.aten.linear %25, %arg5, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.none -> !torch.vtensor<[2,31,96],f32>
    %int24 = torch.constant.int 24
    %27 = torch.prim.ListConstruct %int2, %int31, %int-1, %int24 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %28 = torch.aten.view %26, %27 : !torch.vtensor<[2,31,96],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,24],f32>
    %29 = torch.aten.to.dtype %28, %int6, %false, %false, %none : !torch.vtensor<[2,31,4,24],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,4,24],f32>
    %30 = torch.aten.pow.Tensor_Scalar %29, %int2 : !torch.vtensor<[2,31,4,24],f32>, !torch.int -> !torch.vtensor<[2,31,4,24],f32>
    %31 = torch.aten.mean.dim %30, %19, %true, %none : !torch.vtensor<[2,31,4,24],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,4,1],f32>
    %32 = torch.aten.add.Scalar %31, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,4,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,4,1],f32>
    %33 = torch.aten.rsqrt %32 : !torch.vtensor<[2,31,4,1],f32> -> !torch.vtensor<[2,31,4,1],f32>
    %34 = torch.aten.mul.Tensor %29, %33 : !torch.vtensor<[2,31,4,24],f32>, !torch.vtensor<[2,31,4,1],f32> -> !torch.vtensor<[2,31,4,24],f32>
    %35 = torch.aten.to.dtype %34, %int6, %false, %false, %none : !torch.vtensor<[2,31,4,24],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,4,24],f32>
    %36 = torch.aten.mul.Tensor %arg6, %35 : !torch.vtensor<[24],f32>, !torch.vtensor<[2,31,4,24],f32> -> !torch.vtensor<[2,31,4,24],f32>
    %37 = torch.aten.transpose.int %36, %int1, %int2 : !torch.vtensor<[2,31,4,24],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,24],f32>
    %38 = torch.aten.linear %25, %arg7, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[48,64],f32>, !torch.none -> !torch.vtensor<[2,31,48],f32>
    %39 = torch.aten.view %38, %27 : !torch.vtensor<[2,31,48],f32>, !torch.list<int> -> !torch.vtensor<[2,31,2,24],f32>
    %40 = torch.aten.to.dtype %39, %int6, %false, %false, %none : !torch.vtensor<[2,31,2,24],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,2,24],f32>
    %41 = torch.aten.pow.Tensor_Scalar %40, %int2 : !torch.vtensor<[2,31,2,24],f32>, !torch.int -> !torch.vtensor<[2,31,2,24],f32>
    %42 = torch.aten.mean.dim %41, %19, %true, %none : !torch.vtensor<[2,31,2,24],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,2,1],f32>
    %43 = torch.aten.add.Scalar %42, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,2,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,2,1],f32>
    %44 = torch.aten.rsqrt %43 : !torch.vtensor<[2,31,2,1],f32> -> !torch.vtensor<[2,31,2,1],f32>
    %45 = torch.aten.mul.Tensor %40, %44 : !torch.vtensor<[2,31,2,24],f32>, !torch.vtensor<[2,31,2,1],f32> -> !torch.vtensor<[2,31,2,24],f32>
    %46 = torch.aten.to.dtype %45, %int6, %false, %false, %none : !torch.vtensor<[2,31,2,24],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,2,24],f32>
    %47 = torch.aten.mul.Tensor %arg8, %46 : !torch.vtensor<[24],f32>, !torch.vtensor<[2,31,2,24],f32> -> !torch.vtensor<[2,31,2,24],f32>
    %48 = torch.aten.transpose.int %47, %int1, %int2 : !torch.vtensor<[2,31,2,24],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,24],f32>
    %49 = torch.aten.linear %25, %arg9, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[48,64],f32>, !torch.none -> !torch.vtensor<[2,31,48],f32>
    %50 = torch.aten.view %49, %27 : !torch.vtensor<[2,31,48],f32>, !torch.list<int> -> !torch.vtensor<[2,31,2,24],f32>
    %51 = torch.aten.transpose.int %50, %int1, %int2 : !torch.vtensor<[2,31,2,24],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,24],f32>
    %52 = torch.aten.unsqueeze %15, %int1 : !torch.vtensor<[1,31,24],f32>, !torch.int -> !torch.vtensor<[1,1,31,24],f32>
    %53 = torch.aten.unsqueeze %16, %int1 : !torch.vtensor<[1,31,24],f32>, !torch.int -> !torch.vtensor<[1,1,31,24],f32>
    %54 = torch.aten.mul.Tensor %37, %52 : !torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[1,1,31,24],f32> -> !torch.vtensor<[2,4,31,24],f32>
    %int3 = torch.constant.int 3
    %int12 = torch.constant.int 12
    %55 = torch.aten.slice.Tensor %37, %int3, %int0, %int12, %int1 : !torch.vtensor<[2,4,31,24],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,12],f32>
    %int9223372036854775807 = torch.constant.int 9223372036854775807
    %56 = torch.aten.slice.Tensor %37, %int3, %int12, %int9223372036854775807, %int1 : !torch.vtensor<[2,4,31,24],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,12],f32>
    %57 = torch.aten.neg %56 : !torch.vtensor<[2,4,31,12],f32> -> !torch.vtensor<[2,4,31,12],f32>
    %58 = torch.prim.ListConstruct %57, %55 : (!torch.vtensor<[2,4,31,12],f32>, !torch.vtensor<[2,4,31,12],f32>) -> !torch.list<vtensor>
    %59 = torch.aten.cat %58, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,4,31,24],f32>
    %60 = torch.aten.mul.Tensor %59, %53 : !torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[1,1,31,24],f32> -> !torch.vtensor<[2,4,31,24],f32>
    %61 = torch.aten.add.Tensor %54, %60, %int1 : !torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[2,4,31,24],f32>, !torch.int -> !torch.vtensor<[2,4,31,24],f32>
    %62 = torch.aten.mul.Tensor %48, %52 : !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[1,1,31,24],f32> -> !torch.vtensor<[2,2,31,24],f32>
    %63 = torch.aten.slice.Tensor %48, %int3, %int0, %int12, %int1 : !torch.vtensor<[2,2,31,24],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,12],f32>
    %64 = torch.aten.slice.Tensor %48, %int3, %int12, %int9223372036854775807, %int1 : !torch.vtensor<[2,2,31,24],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,12],f32>
    %65 = torch.aten.neg %64 : !torch.vtensor<[2,2,31,12],f32> -> !torch.vtensor<[2,2,31,12],f32>
    %66 = torch.prim.ListConstruct %65, %63 : (!torch.vtensor<[2,2,31,12],f32>, !torch.vtensor<[2,2,31,12],f32>) -> !torch.list<vtensor>
    %67 = torch.aten.cat %66, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,2,31,24],f32>
    %68 = torch.aten.mul.Tensor %67, %53 : !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[1,1,31,24],f32> -> !torch.vtensor<[2,2,31,24],f32>
    %69 = torch.aten.add.Tensor %62, %68, %int1 : !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[2,2,31,24],f32>, !torch.int -> !torch.vtensor<[2,2,31,24],f32>
    %70 = torch.prim.ListConstruct %int-1, %int31 : (!torch.int, !torch.int) -> !torch.list<int>
    %71 = torch.aten.expand %4, %70, %false : !torch.vtensor<[2,31],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,31],i1>
    %72:2 = torch.operator "torch.hyper.attention"(query = %61, key = %69, value = %51, key_mask = %71, causal_offset = 0, scale = 0.2041241452319315, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[2,31],i1>) -> (!torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[2,4,31],f32>) 
    %73 = torch.aten.transpose.int %72#0, %int1, %int2 : !torch.vtensor<[2,4,31,24],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,31,4,24],f32>
    %74 = torch.aten.contiguous %73, %int0 : !torch.vtensor<[2,31,4,24],f32>, !torch.int -> !torch.vtensor<[2,31,4,24],f32>
    %75 = torch.prim.ListConstruct %int2, %int31, %int-1 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %76 = torch.aten.reshape %74, %75 : !torch.vtensor<[2,31,4,24],f32>, !torch.list<int> -> !torch.vtensor<[2,31,96],f32>
    %77 = torch.aten.linear %76, %arg10, %none : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[64,96],f32>, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %78 = torch.aten.add.Tensor %17, %77, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %79 = torch.aten.to.dtype %78, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %80 = torch.aten.pow.Tensor_Scalar %79, %int2 : !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %81 = torch.aten.mean.dim %80, %19, %true, %none : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,1],f32>
    %82 = torch.aten.add.Scalar %81, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,1],f32>
    %83 = torch.aten.rsqrt %82 : !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,1],f32>
    %84 = torch.aten.mul.Tensor %79, %83 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,64],f32>
    %85 = torch.aten.to.dtype %84, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %86 = torch.aten.mul.Tensor %arg11, %85 : !torch.vtensor<[64],f32>, !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %87 = torch.aten.linear %86, %arg12, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.none -> !torch.vtensor<[2,31,96],f32>
    %88 = torch.aten.silu %87 : !torch.vtensor<[2,31,96],f32> -> !torch.vtensor<[2,31,96],f32>
    %89 = torch.aten.linear %86, %arg13, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.none -> !torch.vtensor<[2,31,96],f32>
    %90 = torch.aten.mul.Tensor %88, %89 : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[2,31,96],f32> -> !torch.vtensor<[2,31,96],f32>
    %91 = torch.aten.linear %90, %arg14, %none : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[64,96],f32>, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %92 = torch.aten.add.Tensor %79, %91, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %93 = torch.aten.to.dtype %92, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %94 = torch.aten.pow.Tensor_Scalar %93, %int2 : !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %95 = torch.aten.mean.dim %94, %19, %true, %none : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,1],f32>
    %96 = torch.aten.add.Scalar %95, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,1],f32>
    %97 = torch.aten.rsqrt %96 : !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,1],f32>
    %98 = torch.aten.mul.Tensor %93, %97 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,64],f32>
    %99 = torch.aten.to.dtype %98, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %100 = torch.aten.mul.Tensor %arg15, %99 : !torch.vtensor<[64],f32>, !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %101 = torch.aten.linear %100, %arg16, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.none -> !torch.vtensor<[2,31,96],f32>
    %102 = torch.aten.view %101, %27 : !torch.vtensor<[2,31,96],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,24],f32>
    %103 = torch.aten.to.dtype %102, %int6, %false, %false, %none : !torch.vtensor<[2,31,4,24],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,4,24],f32>
    %104 = torch.aten.pow.Tensor_Scalar %103, %int2 : !torch.vtensor<[2,31,4,24],f32>, !torch.int -> !torch.vtensor<[2,31,4,24],f32>
    %105 = torch.aten.mean.dim %104, %19, %true, %none : !torch.vtensor<[2,31,4,24],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,4,1],f32>
    %106 = torch.aten.add.Scalar %105, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,4,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,4,1],f32>
    %107 = torch.aten.rsqrt %106 : !torch.vtensor<[2,31,4,1],f32> -> !torch.vtensor<[2,31,4,1],f32>
    %108 = torch.aten.mul.Tensor %103, %107 : !torch.vtensor<[2,31,4,24],f32>, !torch.vtensor<[2,31,4,1],f32> -> !torch.vtensor<[2,31,4,24],f32>
    %109 = torch.aten.to.dtype %108, %int6, %false, %false, %none : !torch.vtensor<[2,31,4,24],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,4,24],f32>
    %110 = torch.aten.mul.Tensor %arg17, %109 : !torch.vtensor<[24],f32>, !torch.vtensor<[2,31,4,24],f32> -> !torch.vtensor<[2,31,4,24],f32>
    %111 = torch.aten.transpose.int %110, %int1, %int2 : !torch.vtensor<[2,31,4,24],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,24],f32>
    %112 = torch.aten.linear %100, %arg18, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[48,64],f32>, !torch.none -> !torch.vtensor<[2,31,48],f32>
    %113 = torch.aten.view %112, %27 : !torch.vtensor<[2,31,48],f32>, !torch.list<int> -> !torch.vtensor<[2,31,2,24],f32>
    %114 = torch.aten.to.dtype %113, %int6, %false, %false, %none : !torch.vtensor<[2,31,2,24],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,2,24],f32>
    %115 = torch.aten.pow.Tensor_Scalar %114, %int2 : !torch.vtensor<[2,31,2,24],f32>, !torch.int -> !torch.vtensor<[2,31,2,24],f32>
    %116 = torch.aten.mean.dim %115, %19, %true, %none : !torch.vtensor<[2,31,2,24],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,2,1],f32>
    %117 = torch.aten.add.Scalar %116, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,2,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,2,1],f32>
    %118 = torch.aten.rsqrt %117 : !torch.vtensor<[2,31,2,1],f32> -> !torch.vtensor<[2,31,2,1],f32>
    %119 = torch.aten.mul.Tensor %114, %118 : !torch.vtensor<[2,31,2,24],f32>, !torch.vtensor<[2,31,2,1],f32> -> !torch.vtensor<[2,31,2,24],f32>
    %120 = torch.aten.to.dtype %119, %int6, %false, %false, %none : !torch.vtensor<[2,31,2,24],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,2,24],f32>
    %121 = torch.aten.mul.Tensor %arg19, %120 : !torch.vtensor<[24],f32>, !torch.vtensor<[2,31,2,24],f32> -> !torch.vtensor<[2,31,2,24],f32>
    %122 = torch.aten.transpose.int %121, %int1, %int2 : !torch.vtensor<[2,31,2,24],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,24],f32>
    %123 = torch.aten.linear %100, %arg20, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[48,64],f32>, !torch.none -> !torch.vtensor<[2,31,48],f32>
    %124 = torch.aten.view %123, %27 : !torch.vtensor<[2,31,48],f32>, !torch.list<int> -> !torch.vtensor<[2,31,2,24],f32>
    %125 = torch.aten.transpose.int %124, %int1, %int2 : !torch.vtensor<[2,31,2,24],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,24],f32>
    %126 = torch.aten.unsqueeze %15, %int1 : !torch.vtensor<[1,31,24],f32>, !torch.int -> !torch.vtensor<[1,1,31,24],f32>
    %127 = torch.aten.unsqueeze %16, %int1 : !torch.vtensor<[1,31,24],f32>, !torch.int -> !torch.vtensor<[1,1,31,24],f32>
    %128 = torch.aten.mul.Tensor %111, %126 : !torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[1,1,31,24],f32> -> !torch.vtensor<[2,4,31,24],f32>
    %129 = torch.aten.slice.Tensor %111, %int3, %int0, %int12, %int1 : !torch.vtensor<[2,4,31,24],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,12],f32>
    %130 = torch.aten.slice.Tensor %111, %int3, %int12, %int9223372036854775807, %int1 : !torch.vtensor<[2,4,31,24],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,12],f32>
    %131 = torch.aten.neg %130 : !torch.vtensor<[2,4,31,12],f32> -> !torch.vtensor<[2,4,31,12],f32>
    %132 = torch.prim.ListConstruct %131, %129 : (!torch.vtensor<[2,4,31,12],f32>, !torch.vtensor<[2,4,31,12],f32>) -> !torch.list<vtensor>
    %133 = torch.aten.cat %132, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,4,31,24],f32>
    %134 = torch.aten.mul.Tensor %133, %127 : !torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[1,1,31,24],f32> -> !torch.vtensor<[2,4,31,24],f32>
    %135 = torch.aten.add.Tensor %128, %134, %int1 : !torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[2,4,31,24],f32>, !torch.int -> !torch.vtensor<[2,4,31,24],f32>
    %136 = torch.aten.mul.Tensor %122, %126 : !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[1,1,31,24],f32> -> !torch.vtensor<[2,2,31,24],f32>
    %137 = torch.aten.slice.Tensor %122, %int3, %int0, %int12, %int1 : !torch.vtensor<[2,2,31,24],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,12],f32>
    %138 = torch.aten.slice.Tensor %122, %int3, %int12, %int9223372036854775807, %int1 : !torch.vtensor<[2,2,31,24],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,12],f32>
    %139 = torch.aten.neg %138 : !torch.vtensor<[2,2,31,12],f32> -> !torch.vtensor<[2,2,31,12],f32>
    %140 = torch.prim.ListConstruct %139, %137 : (!torch.vtensor<[2,2,31,12],f32>, !torch.vtensor<[2,2,31,12],f32>) -> !torch.list<vtensor>
    %141 = torch.aten.cat %140, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,2,31,24],f32>
    %142 = torch.aten.mul.Tensor %141, %127 : !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[1,1,31,24],f32> -> !torch.vtensor<[2,2,31,24],f32>
    %143 = torch.aten.add.Tensor %136, %142, %int1 : !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[2,2,31,24],f32>, !torch.int -> !torch.vtensor<[2,2,31,24],f32>
    %144 = torch.aten.expand %4, %70, %false : !torch.vtensor<[2,31],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,31],i1>
    %145:2 = torch.operator "torch.hyper.attention"(query = %135, key = %143, value = %125, key_mask = %144, causal_offset = 0, scale = 0.2041241452319315, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[2,2,31,24],f32>, !torch.vtensor<[2,31],i1>) -> (!torch.vtensor<[2,4,31,24],f32>, !torch.vtensor<[2,4,31],f32>) 
    %146 = torch.aten.transpose.int %145#0, %int1, %int2 : !torch.vtensor<[2,4,31,24],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,31,4,24],f32>
    %147 = torch.aten.contiguous %146, %int0 : !torch.vtensor<[2,31,4,24],f32>, !torch.int -> !torch.vtensor<[2,31,4,24],f32>
    %148 = torch.aten.reshape %147, %75 : !torch.vtensor<[2,31,4,24],f32>, !torch.list<int> -> !torch.vtensor<[2,31,96],f32>
    %149 = torch.aten.linear %148, %arg21, %none : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[64,96],f32>, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %150 = torch.aten.add.Tensor %93, %149, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %151 = torch.aten.to.dtype %150, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %152 = torch.aten.pow.Tensor_Scalar %151, %int2 : !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %153 = torch.aten.mean.dim %152, %19, %true, %none : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,1],f32>
    %154 = torch.aten.add.Scalar %153, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,1],f32>
    %155 = torch.aten.rsqrt %154 : !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,1],f32>
    %156 = torch.aten.mul.Tensor %151, %155 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,64],f32>
    %157 = torch.aten.to.dtype %156, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %158 = torch.aten.mul.Tensor %arg22, %157 : !torch.vtensor<[64],f32>, !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %159 = torch.aten.linear %158, %arg23, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.none -> !torch.vtensor<[2,31,96],f32>
    %160 = torch.aten.silu %159 : !torch.vtensor<[2,31,96],f32> -> !torch.vtensor<[2,31,96],f32>
    %161 = torch.aten.linear %158, %arg24, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.none -> !torch.vtensor<[2,31,96],f32>
    %162 = torch.aten.mul.Tensor %160, %161 : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[2,31,96],f32> -> !torch.vtensor<[2,31,96],f32>
    %163 = torch.aten.linear %162, %arg25, %none : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[64,96],f32>, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %164 = torch.aten.add.Tensor %151, %163, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %165 = torch.aten.to.dtype %164, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %166 = torch.aten.pow.Tensor_Scalar %165, %int2 : !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %167 = torch.aten.mean.dim %166, %19, %true, %none : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,1],f32>
    %168 = torch.aten.add.Scalar %167, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,1],f32>
    %169 = torch.aten.rsqrt %168 : !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,1],f32>
    %170 = torch.aten.mul.Tensor %165, %169 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,64],f32>
    %171 = torch.aten.to.dtype %170, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %172 = torch.aten.mul.Tensor %arg26, %171 : !torch.vtensor<[64],f32>, !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %173 = torch.aten.alias %172 : !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %174 = torch.aten.linear %173, %arg27, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[97,64],f32>, !torch.none -> !torch.vtensor<[2,31,97],f32>
    return %174 : !torch.vtensor<[2,31,97],f32>
  }
}
